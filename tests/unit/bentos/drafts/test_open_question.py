"""The newest question without a reply, from records to the draft's text."""

from __future__ import annotations

import pytest

from bentos.drafts.open_question import find_open_question
from tests.unit.pipelines.records.fhir import FIRST, Clinic, clinic, no_data_docs, patient, question, reply

__all__ = ["clinic", "no_data_docs"]

SECOND = "2026-06-02"
OLD = question("q1", "Is spotting normal?", sent="2026-05-20T08:00:00Z")
NEW = question("q2", "Is it normal to feel this tired?")
AGAIN = question("q3", "Is it normal to feel this  tired?", sent="2026-05-22T08:00:00Z")
ANSWER = reply("r2", "q2", "Yes, rest more.")


@pytest.mark.parametrize(
    ("first", "second", "open_"),
    [
        ((OLD, NEW), (), "Is it normal to feel this tired?"),
        ((OLD, NEW, ANSWER), (), "Is spotting normal?"),
        ((OLD, NEW), (ANSWER,), "Is spotting normal?"),
        ((NEW, ANSWER), (), None),
        ((OLD, NEW, AGAIN, ANSWER | {"inResponseTo": [{"reference": "Communication/q3"}]}), (), "Is spotting normal?"),
        ((NEW, AGAIN, ANSWER), (), "Is it normal to feel this tired?"),
        ((NEW, ANSWER), (ANSWER | {"status": "entered-in-error"},), "Is it normal to feel this tired?"),
        ((NEW,), (NEW | {"status": "entered-in-error"},), None),
        ((), (), None),
    ],
    ids=[
        "newest",
        "answered",
        "answered later",
        "all answered",
        "answered when asked again",
        "asked again after the answer",
        "reply withdrawn",
        "question withdrawn",
        "nothing asked",
    ],
)
def test_the_newest_question_without_a_reply_is_open(clinic: Clinic, first: tuple, second: tuple, open_: str) -> None:
    clinic.drop(FIRST, patient(), *first)
    clinic.drop(SECOND, patient("eve"), *second)
    settings = clinic.settings
    names = [path.name for path in settings.events.glob("*.parquet")]
    arguments = (settings.events, names, settings.subject_id("ana"), settings.now())

    assert find_open_question(*arguments) == open_
    assert find_open_question(settings.events, names, settings.subject_id("eve"), settings.now()) is None
