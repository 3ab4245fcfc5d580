"""A stranger's first minutes: ``pmlm demo`` on a terminal, and its link in a browser."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.llm import unpack_embedded_llm
from pmlm.console.demo import QUESTIONS
from pmlm.operations_types import Operations, operations_path
from pmlm.settings import PROJECT, Settings, load_settings
from tests.command_line import environment, pmlm
from tests.contract.browser import ANSWERED, chromium, opened

pytestmark = pytest.mark.slow
#: More lines than this on a terminal are a flood.
MOST_LINES = 20
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home: Path = tmp_path_factory.mktemp("demo")
    (home / ".embedded-llm").symlink_to(unpack_embedded_llm(load_settings().embedded_llm))
    return Settings(home=home, drops=PROJECT / "examples" / "clinic", port=13987, airflow_port=13988)


@pytest.fixture(scope="module")
def screen(settings: Settings) -> Iterator[str]:
    """What the command prints on a terminal, without what moves the cursor."""
    terminal, inner = pty.openpty()
    command = [sys.executable, "-m", "pmlm.cli.main", "demo"]
    process = subprocess.Popen(command, stdout=inner, stderr=inner, env=environment(settings) | {"COLUMNS": "200"})
    os.close(inner)
    printed = b""
    try:
        while part := os.read(terminal, 65536):
            printed += part
    except OSError:  # the other end is closed
        pass
    assert process.wait() == 0, printed.decode(errors="replace")
    yield CONTROL.sub("", printed.decode())
    pmlm(settings, "down")


def test_the_terminal_shows_one_link_and_three_questions_and_no_flood(screen: str) -> None:
    lines = [line for line in screen.splitlines() if line.strip()]
    assert len([line for line in lines if "/#token=" in line]) == 1
    for question, _ in QUESTIONS:
        assert question in screen
    assert len(set(lines)) <= MOST_LINES


def test_the_link_opens_on_an_answer_that_names_the_fallen_haemoglobin(screen: str) -> None:
    (link,) = re.findall(r"http\S+#token=\S+", screen)
    with chromium() as browser:
        found = opened(browser, link)
        found.page.wait_for_selector(ANSWERED, timeout=120_000)
        assert found.page.input_value("#question") == QUESTIONS[0][0]
        assert "haemoglobin" in found.page.inner_text("#answer")
        assert "haemoglobin" not in found.page.inner_text("#plain")
        assert found.complaints == []


def test_what_a_clinician_wrote_stands_beside_the_second_question(settings: Settings, screen: str) -> None:
    from pmlm.example_patient import REFERENCE

    assert "what the clinician wrote" in pmlm(settings, "ask", REFERENCE, QUESTIONS[1][0])


def test_a_second_call_serves_the_same_night_at_once(settings: Settings, screen: str) -> None:
    assert "unpacking" not in pmlm(settings, "demo")
    assert "came with the repository" in pmlm(settings, "night")


def test_the_operations_page_has_the_finished_nights(settings: Settings, screen: str) -> None:
    found = Operations.model_validate_json(operations_path(settings).read_text())
    assert [night.night for night in found.nights]
    assert found.drift
