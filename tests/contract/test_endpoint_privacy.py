"""No identifier in an answer, a log or a file of the endpoint; the interaction log holds no free text at all."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from pmlm.settings import Settings
from tests.contract.three_women import ADA, BEA, IDENTIFIERS

QUESTION = "Zymurgy aside, is it normal to feel this tired?"


@pytest.fixture(scope="module")
def answers(caller: httpx.Client) -> list[dict[str, Any]]:
    """Answers to good and to broken requests, each of which was logged or refused."""
    requests = [
        {"patient": f"Patient/{ADA}", "question": QUESTION},
        {"patient": BEA, "question": QUESTION},
        {"patient": f"Patient/{ADA}", "question": QUESTION + "\x00"},
        {"patient": "Patient/ada-unknown-7f3a9", "question": QUESTION},
    ]
    answered = [caller.post("/answer", json=r).json() for r in requests]
    answered += [
        caller.get(f"/explain/{answered[0]['id']}").json(),
        caller.get(f"/patients/Patient/{ADA}/timeline").json(),
    ]
    return answered


def logged(settings: Settings) -> list[Path]:
    return sorted((settings.workspace / "interactions").glob("*.jsonl"))


def test_no_identifier_leaves_in_an_answer(answers: list[dict[str, Any]], settings: Settings) -> None:
    text = json.dumps(answers, ensure_ascii=False)
    for identifier in (*IDENTIFIERS, str(settings.subject_id(ADA)), "ada-unknown"):
        assert identifier not in text


def test_no_identifier_and_no_question_reaches_a_log(answers: list[dict[str, Any]], settings: Settings) -> None:
    assert answers
    written = [settings.workspace / "endpoint.log", *logged(settings), *(settings.workspace / "audit").iterdir()]
    for path in written:
        content = path.read_text()
        for forbidden in (*IDENTIFIERS, str(settings.subject_id(ADA)), "ada-unknown", "Zymurgy", "tired"):
            assert forbidden not in content, (path.name, forbidden)


def test_what_explanations_keep_is_no_identifier_and_no_question(
    answers: list[dict[str, Any]], settings: Settings
) -> None:
    files = list(settings.workspace.glob("explanations.db*"))
    content = b"".join(path.read_bytes() for path in files)
    assert answers[0]["id"].encode() in content
    for forbidden in (*IDENTIFIERS, "ada-unknown", "Zymurgy"):
        assert forbidden.encode() not in content, forbidden
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


def test_no_identifier_lies_in_a_release_or_a_bento(settings: Settings) -> None:
    for folder in ("releases", "bentoml"):
        for path in (settings.workspace / folder).rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            assert not [i for i in IDENTIFIERS if i.encode() in content], path


def test_an_interaction_can_be_credited_later_without_saying_who_asked_what(
    answers: list[dict[str, Any]], settings: Settings
) -> None:
    lines = [json.loads(line) for path in logged(settings) for line in path.read_text().splitlines()]
    line = next(line for line in lines if line["id"] == answers[0]["id"])
    assert line["patient"] == settings.pseudonym("interaction", str(settings.subject_id(ADA)))
    assert line["question"] == settings.pseudonym("question", QUESTION)
    assert line["program"] == answers[0]["program"]
    assert line["versions"] == answers[0]["versions"]
    assert line["kept"] == [s["key"] for s in answers[0]["segments"] if s["kept"]]
    assert set(line["seconds"]) == {"features", "method", "llm"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in logged(settings))
