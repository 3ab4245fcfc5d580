"""What was said of a day is learnt from the night after, with a cap and without names; new values are seen."""

from __future__ import annotations

import json
import stat
from typing import Any

import polars as pl
import pytest

from feature_repo.store import online
from models.patient.preferences import estimate_preference
from models.vocabulary import RATING_CODE
from pipelines.episodes.conversations import pair_exchanges
from pipelines.records.log import event_log
from tests.contract.one_day import ASKED, EDITED, WORDS, Day
from tests.contract.three_women import ADA, ANSWERED, IDENTIFIERS


def feature_row(day: Day, patient: str) -> dict[str, Any]:
    row = online.read(day.settings.feast, day.settings.subject_id(patient))
    assert row is not None
    return dict(row)


def test_feedback_is_taken_by_who_may_see_the_patient_and_by_nobody_else(day: Day) -> None:
    status = {name: response.status_code for name, response in day.said.items()}
    taken = {"stars", "thumb", "preference", "again", "fourth", "beyond", "hers", "hers too", "hers as well"}
    assert {name for name, code in status.items() if code == 200} == taken | {"edit"}
    assert (status["foreign"], status["clinician?"]) == (403, 403)
    assert (status["none"], status["another's"]) == (404, 404)
    assert day.said["foreign"].json() == day.said["foreign or none"].json()
    assert {status[n] for n in ("nothing", "twice", "edit by her", "six stars")} == {400}
    assert day.said["six stars"].json()["field"] == "rating"


def test_what_goes_beyond_the_cap_is_said_so(day: Day) -> None:
    counts = {name: r.json()["counts"] for name, r in day.said.items() if r.status_code == 200}
    assert [name for name, counted in counts.items() if not counted] == ["beyond"]


def test_the_reward_log_keeps_the_program_and_no_word(day: Day) -> None:
    (file,) = (day.settings.workspace / "feedback").glob("*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    by_answer = {answer["id"]: answer for answer in day.answers}
    assert {line["kind"] for line in lines} == {"rating", "thumbs", "preferred", "edit", "comment"}
    for line in lines:
        program = by_answer[line["answer"]]["program"]
        assert (line["picks"], line["log_prob"]) == (program["picks"], program["log_prob"])
        assert line["refiner"] == by_answer[line["answer"]]["versions"]["refiner"]
    assert not [w for w in (*WORDS, *IDENTIFIERS) if w in file.read_text()]


def test_the_night_turns_what_counts_into_her_preferences(day: Day) -> None:
    ratings = event_log.scan_events(day.settings).filter(pl.col("code") == RATING_CODE).collect()
    assert sorted(ratings["numeric_value"].to_list()) == [2.0, 4.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    assert set(ratings["subject_id"]) == {day.settings.subject_id(ADA)}
    row = feature_row(day, ADA)
    assert (row["ratings"], row["rating_detailed_count"], row["rating_brief_count"]) == (8, 8, 0)
    assert row["rating_detailed_mean"] == pytest.approx(35 / 8)


def test_the_night_learns_a_clinicians_edit_as_a_reply_without_names(day: Day) -> None:
    found = pair_exchanges(event_log.scan_events(day.settings), day.settings.now())
    (exchange,) = [e for e in found if e.question != ANSWERED]
    assert exchange.question == "Zymurgy aside, is it normal that [name] feels this tired?"
    assert " ".join(exchange.reply) == EDITED.replace("Adelheid", "[name]")


def test_words_are_kept_without_names_and_raw_ones_not_at_all(day: Day) -> None:
    raw = day.settings.quarantine / "feedback"
    assert not list(raw.iterdir())
    texts = [p.read_text() for p in (day.settings.workspace / "feedback" / "texts").iterdir()]
    assert sorted("comment" in t for t in texts) == [False, True]
    assert not [i for i in IDENTIFIERS for t in texts if i in t]


def test_a_value_recorded_since_is_a_critical_card(day: Day) -> None:
    critical = [card for card in day.cards() if card["indicator"] == "critical"]
    assert [card["summary"] for card in critical] == [
        "Blood pressure 168/112 mmHg, today: severe hypertension in pregnancy or after birth"
    ]
    assert critical[0]["source"]["label"] == "ACOG Committee Opinion 767"


def test_what_she_likes_is_said_in_her_next_prompt_only_when_it_is_clear(day: Day) -> None:
    segments = day.post("/personalize", {"patient": ADA, "question": ASKED}).json()["segments"]
    told = [s["text"] for s in segments if s["kind"] == "preference"]
    clear = estimate_preference(feature_row(day, ADA)).length
    assert clear == "detailed"
    assert len(told) == 1
