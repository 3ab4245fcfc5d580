"""Questions, replies and ratings joined from the event log, as known at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.replies.sentences import split_sentences
from pipelines.episodes.conversations import pair_exchanges
from pipelines.records.log.event_log import SCHEMA

START = datetime(2026, 1, 1, tzinfo=UTC)


def _event(kind: str, record: int, parent: int | None, day: int, text: str | None, value: float | None = None) -> dict:
    at = START + timedelta(days=day)
    return dict.fromkeys(SCHEMA) | {
        "subject_id": 7,
        "time": at,
        "code": f"PMLM//{kind.upper()}",
        "known_at": at,
        "kind": kind,
        "record": record,
        "parent": parent,
        "text_value": text,
        "numeric_value": value,
        "source": f"{record}-{day}",
    }


def _log(*events: dict) -> pl.LazyFrame:
    return pl.LazyFrame(list(events), schema=SCHEMA)


QUESTION = _event("question", 1, None, 0, "May I fly?")
REPLY = _event("reply", 2, 1, 1, "You may. Walk every hour.")
RATING = _event("rating", 3, 2, 5, None, 4.0)


def test_a_question_its_reply_and_her_rating_are_one_exchange() -> None:
    (found,) = pair_exchanges(_log(QUESTION, REPLY, RATING), START + timedelta(days=9))
    assert (found.question, found.reply, found.rating) == ("May I fly?", ("You may.", "Walk every hour."), 4.0)
    assert (found.record, found.reply_record, found.subject_id, found.asked) == (1, 2, 7, START)


def test_a_rating_that_came_later_is_not_known_yet() -> None:
    (found,) = pair_exchanges(_log(QUESTION, REPLY, RATING), START + timedelta(days=4))
    assert found.rating is None


def test_a_question_without_a_reply_known_yet_is_no_exchange() -> None:
    assert pair_exchanges(_log(QUESTION, REPLY), START) == []
    assert pair_exchanges(_log(QUESTION), START + timedelta(days=9)) == []


def test_a_corrected_reply_counts_from_the_moment_of_its_correction() -> None:
    corrected = _event("reply", 2, 1, 3, "You may not.")
    log = _log(QUESTION, REPLY, corrected)
    assert pair_exchanges(log, START + timedelta(days=2))[0].reply == ("You may.", "Walk every hour.")
    assert pair_exchanges(log, START + timedelta(days=3))[0].reply == ("You may not.",)


def test_of_two_replies_the_first_is_the_reply() -> None:
    second = _event("reply", 4, 1, 2, "And drink enough.")
    assert pair_exchanges(_log(second, REPLY, QUESTION), START + timedelta(days=9))[0].reply_record == 2


def test_a_reply_to_a_question_that_is_not_known_is_passed_over() -> None:
    assert pair_exchanges(_log(REPLY, RATING), START + timedelta(days=9)) == []


def test_sentence_ends_are_found_in_english_and_chinese_and_not_within_numbers() -> None:
    assert split_sentences("Your haemoglobin is 9.8 g/dL. Take iron! Is that clear?") == (
        "Your haemoglobin is 9.8 g/dL.",
        "Take iron!",
        "Is that clear?",
    )
    assert split_sentences("Ask Dr. Lee, e.g. on Monday. Good.") == ("Ask Dr. Lee, e.g. on Monday.", "Good.")
    assert split_sentences("血压正常。请继续服药。") == ("血压正常。", "请继续服药。")


@given(st.text(alphabet="abC .!?9\n"))
def test_no_word_of_a_reply_is_lost_between_sentences(text) -> None:
    assert "".join(split_sentences(text)).replace(" ", "") == "".join(text.split())
