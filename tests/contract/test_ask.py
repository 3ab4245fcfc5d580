"""``pmlm ask``: the same answer from a running endpoint and without one, side by side on the screen."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipelines.packaging import serving
from pipelines.packaging.bento import make_serving_environment
from pipelines.packaging.serving import RunningEndpoint
from pmlm.cli.main import app
from pmlm.console import ask as asking
from pmlm.errors import PmlmError, UnknownPatientError
from pmlm.settings import Settings
from pmlm.storage import write_json
from tests.contract.three_women import ADA

TIRED = "Is it normal to feel this tired?"
BLEEDING = "I am bleeding heavily and soaking a pad an hour, is that normal?"


@pytest.fixture
def written_down(settings: Settings, endpoint: RunningEndpoint) -> Iterator[RunningEndpoint]:
    """The served bento as ``pmlm up`` leaves it."""
    write_json(serving.record_path(settings), endpoint.model_dump())
    yield endpoint
    serving.record_path(settings).unlink()


def shown(question: str, answer: dict[str, object]) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(asking.render_answer(question, answer))
    return console.export_text()


def test_an_endpoint_and_this_process_give_the_same_prompt(settings: Settings, written_down: RunningEndpoint) -> None:
    served = asking.ask_question(settings, ADA, TIRED)
    serving.record_path(settings).rename(serving.record_path(settings).with_suffix(".away"))
    here = asking.ask_question(settings, ADA, TIRED)
    serving.record_path(settings).with_suffix(".away").rename(serving.record_path(settings))
    assert served["id"] != here["id"]
    assert {k: served[k] for k in ("prompt", "initial_prompt", "segments", "versions", "answer")} == {
        k: here[k] for k in ("prompt", "initial_prompt", "segments", "versions", "answer")
    }


def test_the_screen_shows_both_prompts_the_answer_the_flag_and_the_versions(
    settings: Settings, written_down: RunningEndpoint
) -> None:
    text = shown(BLEEDING, asking.ask_question(settings, f"Patient/{ADA}", BLEEDING))
    for part in ("initial prompt", "refined prompt", "answer", "red flag", "heavy bleeding", written_down.release):
        assert part in text
    assert ADA not in text


def test_the_command_ends_with_one_json_object(settings: Settings, written_down: RunningEndpoint) -> None:
    arguments = ["ask", f"Patient/{ADA}", TIRED, "--json", "--drops", str(settings.drops)]
    done = CliRunner().invoke(app, arguments, env=make_serving_environment(settings))
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["prompt"]
    assert answer["llm"]["embedded"]


def test_what_cannot_be_asked_is_said_with_the_field(settings: Settings, written_down: RunningEndpoint) -> None:
    with pytest.raises(PmlmError, match="question: "):
        asking.ask_question(settings, ADA, "??")
    with pytest.raises(UnknownPatientError):
        asking.ask_question(settings, "nobody", TIRED)
