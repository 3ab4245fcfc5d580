"""``pmlm patient`` as a user reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.fact_disputes import StatedDispute
from pipelines.features.inspect import show
from pipelines.records.feedback import disputes
from pmlm.cli.main import app

AT = datetime(2026, 6, 1, tzinfo=UTC)
ROW = {
    "condition_codes": ["LOCAL//x"], "condition_texts": ["Weight [lb_av] off [/b]"], "condition_times": [AT],
    "condition_sources": ["c"],
}  # fmt: skip


def test_brackets_are_shown_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "[name] ruled it out on [date] [/x]"
    monkeypatch.setattr(show, "read_row", lambda *_: ROW)
    monkeypatch.setattr(disputes, "list_disputes", lambda *_: [(StatedDispute("condition:LOCAL//x", AT, "d"), words)])
    monkeypatch.setenv("PMLM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(app, ["patient", "ana", "--drops", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert f"instead: {words}" in done.output
    assert "Weight [lb_av] off [/b]" in done.output
