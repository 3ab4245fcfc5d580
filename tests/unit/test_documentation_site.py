"""The documentation site builds without a warning, refers to everything, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from feature_repo.store import services
from pmlm.settings import PROJECT, Settings
from tests.contract.browser import SECONDS, chromium


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [Path(sys.executable).parent / "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_first_screen_says_what_this_is_not(site: Path) -> None:
    text = (site / "index.html").read_text()
    first = text[text.index("<article") :][:1500]
    assert "Not a medical device" in first
    assert "synthetic" in first


def test_every_page_of_the_repository_is_in_the_navigation(site: Path) -> None:
    index = (site / "index.html").read_text()
    for page in (PROJECT / "docs").glob("**/*.md"):
        assert str(page.relative_to(PROJECT / "docs").with_suffix(".html")) in index, page.name


def test_the_reference_holds_every_command_setting_and_feature(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text()
    for command in ("pmlm night", "pmlm ask", "pmlm token", "pmlm features show"):
        assert command in commands
    settings = (site / "reference" / "settings.html").read_text()
    assert [name for name in Settings.model_fields if f"PMLM_{name.upper()}" not in settings] == []
    features = (site / "reference" / "features.html").read_text()
    assert [name for name in services.list_features() if name not in features] == []
    endpoint = (site / "reference" / "endpoint.html").read_text()
    for route in ("POST /answer", "POST /personalize", "POST /feedback", "GET /explain/", "POST /v1/chat/completions"):
        assert route in endpoint


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(https?:)?//", re.I)
    for page in site.glob("**/*.html"):
        outside = [m[0] for m in loads.finditer(page.read_text()) if 'rel="canonical"' not in m[0]]
        assert outside == [], page.name
    for style in site.glob("**/*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style.name


def test_no_page_of_the_site_names_a_path_of_one_machine(site: Path) -> None:
    for page in site.glob("**/*.html"):
        assert not re.search(r"[\"'> (]/(?:home|work|root|Users)/", page.read_text()), page.name


def test_the_site_is_searched_when_it_is_opened_as_files(site: Path) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto((site / "how-to" / "trace.html").as_uri())
        page.fill(".md-search__input", "erasure tombstone")
        found = page.wait_for_selector(".md-search-result__item a", state="attached", timeout=SECONDS)
        assert found is not None
        assert str(found.get_attribute("href")).startswith("file://")


def test_placeholders_in_angle_brackets_are_read_as_text(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text()
    assert "Patient/&lt;id&gt;" in commands
    pages = {
        page.name: re.findall(r"<(?:id|number|night|release|version|month|day)>", page.read_text())
        for page in site.glob("**/*.html")
    }
    assert {name: tags for name, tags in pages.items() if tags} == {}
