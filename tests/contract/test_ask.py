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
from pipelines.packaging.running_endpoint import RunningEndpoint
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


def shown(question: str, asked: asking.AskedAnswer, prompts: bool = False) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(asking.render_asked(question, asked, prompts))
    return console.export_text()


def test_an_endpoint_and_this_process_give_the_same_prompt(settings: Settings, written_down: RunningEndpoint) -> None:
    served = asking.ask_question(settings, ADA, TIRED).response
    serving.record_path(settings).rename(serving.record_path(settings).with_suffix(".away"))
    alone = asking.ask_question(settings, ADA, TIRED, compare=True)
    here = alone.response
    serving.record_path(settings).with_suffix(".away").rename(serving.record_path(settings))
    assert served["id"] != here["id"]
    assert {k: served[k] for k in ("prompt", "initial_prompt", "segments", "versions", "answer")} == {
        k: here[k] for k in ("prompt", "initial_prompt", "segments", "versions", "answer")
    }
    assert alone.unpersonalised
    assert "in this process" in alone.asked


def test_the_screen_shows_the_answer_the_flag_and_the_versions_and_the_prompts_only_when_asked(
    settings: Settings, written_down: RunningEndpoint
) -> None:
    asked = asking.ask_question(settings, f"Patient/{ADA}", BLEEDING, compare=True)
    text = shown(BLEEDING, asked, prompts=True)
    for part in ("initial prompt", "refined prompt", "answer", "red flag", "heavy bleeding", written_down.release):
        assert part in text
    assert ADA not in text
    assert "initial prompt" not in shown(BLEEDING, asked)


def test_the_answer_stands_beside_the_one_without_the_record_and_says_who_was_asked(
    settings: Settings, written_down: RunningEndpoint
) -> None:
    text = shown(TIRED, asking.ask_question(settings, ADA, TIRED, compare=True))
    for part in ("answer · ", "without the record", "from the record: ", f"the endpoint at {written_down.url}"):
        assert part in text


def test_the_command_ends_with_one_json_object(settings: Settings, written_down: RunningEndpoint) -> None:
    arguments = ["ask", f"Patient/{ADA}", TIRED, "--json", "--drops", str(settings.drops)]
    done = CliRunner().invoke(app, arguments, env=make_serving_environment(settings))
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["label"] == "routine"
    assert answer["answer"]
    assert answer["unpersonalised"]
    assert (answer["llm"], answer["llm_called"]) == ("embedded-answer", False)
    assert set(answer["kept"]) & {"safety", "pregnancy"}
    assert answer["prompt"]


def test_the_command_ends_with_1_where_the_configured_language_model_is_dead(settings: Settings) -> None:
    dead = make_serving_environment(settings) | {
        "PMLM_LLM_BASE_URL": "http://127.0.0.1:9/v1", "PMLM_LLM_MODEL": "ours"
    }  # fmt: skip
    arguments = ["ask", f"Patient/{ADA}", TIRED, "--json", "--drops", str(settings.drops)]
    done = CliRunner().invoke(app, arguments, env=dead)
    assert done.exit_code == 1
    assert "ours gave no answer" in done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["answer"] == "The language model gave no answer. Please ask your clinic."


def test_what_cannot_be_asked_is_said_with_the_field(settings: Settings, written_down: RunningEndpoint) -> None:
    with pytest.raises(PmlmError, match="question: "):
        asking.ask_question(settings, ADA, "??")
    with pytest.raises(UnknownPatientError):
        asking.ask_question(settings, "nobody", TIRED)
