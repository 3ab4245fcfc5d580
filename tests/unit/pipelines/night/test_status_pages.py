"""The pages of a night: only existing ones, and Data Docs that open without a network."""

from __future__ import annotations

from pathlib import Path

from pipelines.night import status
from pmlm.settings import Settings


def test_data_docs_are_the_page_that_opens_without_a_network(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "state", drops=tmp_path)
    docs = settings.reports / "data-docs"
    docs.mkdir(parents=True)
    (docs / "index.html").touch()  # Great Expectations' own: its scripts come from elsewhere
    assert "Data Docs" not in status.list_pages(settings, "20260601")
    (docs / "contents.html").touch()
    assert status.list_pages(settings, "20260601")["Data Docs"] == docs / "contents.html"
