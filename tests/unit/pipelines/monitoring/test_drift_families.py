"""Drift families: sampling units, compared columns, and the night a row belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest

from models.reward.embedded_scorer import EmbeddedScorer
from models.reward.score_cache import ScoreCache, hash_trial
from models.reward.terms import SentenceScores
from models.schema import DELETED, EVENT_SCHEMA, EditProgram, Episode, Segment
from models.vocabulary import QUESTION_CODE
from pipelines.episodes import episode_file
from pipelines.monitoring.families import features, prompts, questions, records, rewards
from pipelines.monitoring.families.drift_table import SAMPLE
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger
from pipelines.records.log.ledger import Accounts, LedgerEntry
from pipelines.training.rewards import build_trial, cache_path
from pmlm.settings import Settings

NIGHT = "20260614"
KNOWN = datetime(2026, 6, 14, 23, 59, 59, tzinfo=UTC)
SINCE = KNOWN - timedelta(days=1)
Event = dict[str, object]


def _event(record: int, kind: str = "observation", code: str = "LOINC//718-7", **values: object) -> Event:
    plain = {"subject_id": 1, "known_at": KNOWN, "source": "ab", "record": record, "kind": kind, "code": code}
    return plain | values


def _write_events(settings: Settings, events: list[Event]) -> None:
    settings.events.mkdir(parents=True, exist_ok=True)
    frame = pl.from_arrow(pa.Table.from_pylist(events, schema=EVENT_SCHEMA))
    assert isinstance(frame, pl.DataFrame)
    batch = f"{NIGHT}-0123456789ab.parquet"
    frame.write_parquet(settings.events / batch)
    ledger.write_entry(settings, LedgerEntry(NIGHT, "content", [batch]))


def test_twenty_results_of_one_draw_are_one_sampling_unit(settings: Settings) -> None:
    _write_events(settings, [_event(i + 1, code=f"LOINC//{i}") for i in range(20)] + [_event(99, subject_id=2)])
    table = records.build_patient_days(settings, NIGHT, SINCE)
    assert table.height == 2
    assert table["code of observation"].to_list().count("LOINC//0") == 1


def test_repeated_measurements_of_a_day_count_by_their_median(settings: Settings) -> None:
    _write_events(settings, [_event(i, numeric_value=value) for i, value in enumerate([9.0, 12.0, 30.0], start=1)])
    assert records.build_patient_days(settings, NIGHT, SINCE)["haemoglobin"].to_list() == [12.0]


def test_a_deletion_is_no_sampling_unit(settings: Settings) -> None:
    _write_events(settings, [_event(1, "deleted", DELETED), _event(2, "condition", "SNOMED//1")])
    table = records.build_patient_days(settings, NIGHT, SINCE)
    assert table["events per patient-day"].to_list() == [1]


def test_a_huge_drop_is_scaled_down_and_its_broken_share_kept(settings: Settings) -> None:
    accounts = Accounts(read=1_000_000, accepted=900_000, quarantined=100_000, by_rule={"truncated": 100_000})
    ledger.write_entry(settings, LedgerEntry(NIGHT, "content", accounts=accounts))
    outcomes = records.build_lines(settings, NIGHT, SINCE)["outcome of a line"]
    assert len(outcomes) == SAMPLE
    assert (outcomes == "truncated").sum() == SAMPLE // 10


def _write_features(settings: Settings, group: str, rows: pl.DataFrame) -> None:
    (settings.features / group).mkdir(parents=True)
    rows.write_parquet(settings.features / group / f"{NIGHT}.parquet")


def test_groups_that_changed_for_other_patients_are_compared_together(settings: Settings) -> None:
    one = pl.DataFrame({"subject_id": [1], "event_timestamp": [KNOWN], "weight_latest": [70.0]})
    two = pl.DataFrame({"subject_id": [2, 3], "event_timestamp": [KNOWN, KNOWN], "pregnancies": [0, 1]})
    _write_features(settings, "vitals", one)
    _write_features(settings, "pregnancy", two)
    table = features.build_own_features(settings, NIGHT, SINCE)
    assert table["no value of weight_latest"].drop_nulls().to_list() == ["no"], (
        "nothing of whom the group has no row of"
    )
    assert table["weight_latest"].drop_nulls().to_list() == [70.0]
    assert sorted(table["pregnancies"].drop_nulls()) == [0, 1]


def test_a_patient_whose_peers_alone_changed_is_not_counted_as_changed(settings: Settings) -> None:
    _write_features(settings, "peers", pl.DataFrame({"subject_id": [9], "event_timestamp": [KNOWN], "peers_n": [12]}))
    assert features.build_own_features(settings, NIGHT, SINCE).is_empty()
    assert features.build_peer_features(settings, NIGHT, SINCE)["peers_n"].to_list() == [12]


def test_a_mean_that_a_whole_cohort_shares_is_no_drift_of_its_patients(settings: Settings) -> None:
    rows = pl.DataFrame({"subject_id": [9], "event_timestamp": [KNOWN], "peer_iron": [5.0], "cohort_iron": [10.0]})
    _write_features(settings, "peers", rows)
    columns = features.build_peer_features(settings, NIGHT, SINCE).columns
    assert set(columns) == {"subject_id", "peer_iron", "no value of peer_iron"}


def test_a_row_recomputed_for_an_earlier_day_is_not_tonights(settings: Settings) -> None:
    late = pl.DataFrame({"subject_id": [1], "event_timestamp": [SINCE], "weight_latest": [70.0]})
    _write_features(settings, "vitals", late)
    assert features.build_own_features(settings, NIGHT, SINCE).is_empty()


def test_features_enter_as_numbers_lengths_ages_and_short_categories_only(settings: Settings) -> None:
    rows = pl.DataFrame(
        {
            "subject_id": [11, 12],
            "event_timestamp": [KNOWN, KNOWN],
            "birth": [datetime(1990, 6, 15, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)],
            "language": ["en", "zh"],
            "haemoglobin_latest": [11.0, None],
            "haemoglobin_source": ["hash", None],
            "haemoglobin_mean": [12.0, None],
            "condition_codes": [["a", "b"], []],
            "condition_texts": [["one", "two"], []],
            "ratings": [3, 4],  # so far: more with every night
        }
    )
    _write_features(settings, "labs", rows)
    table = features.build_own_features(settings, NIGHT, SINCE)
    compared = {"age", "language", "haemoglobin_latest", "number of condition_codes"}
    assert set(table.columns) == {"subject_id"} | compared | {f"no value of {name}" for name in compared}
    assert sorted(table["no value of haemoglobin_latest"].to_list()) == ["no", "yes"]
    assert sorted(table["age"].to_list()) == [26.0, 35.0]  # the first turns 36 tomorrow
    assert sorted(table["number of condition_codes"].to_list()) == [0, 2]


def _episode(subject: int, as_of: datetime, ident: str) -> Episode:
    segments = (
        Segment("safety", "pinned", "Call us.", pinned=True, tokens=9),
        Segment("peer.weight", "peer", "Women like her gained 9 kg.", tokens=8),
        Segment("haemoglobin.latest", "record", "Haemoglobin 11 g/dL.", tokens=6),
    )
    return Episode(ident, subject, as_of, "Am I tired?", segments, ("Yes.",))


def test_only_what_the_policy_may_choose_from_is_compared(settings: Settings) -> None:
    early, tonight = SINCE - timedelta(hours=1), KNOWN - timedelta(hours=1)
    episode_file.write_episodes(
        settings, [_episode(1, early, "a"), _episode(1, tonight, "b"), _episode(1, tonight, "c")]
    )
    (row,) = prompts.build_asked(settings, NIGHT, SINCE).to_dicts()
    assert (row["candidates"], row["free tokens"], row["ranked first"]) == (2, 14, "peer.weight")
    assert (row["peer segments"], row["record segments"], row["change segments"]) == (1, 1, 0)


def test_every_patients_question_is_described_without_a_word_of_it(settings: Settings) -> None:
    earlier = {"known_at": SINCE, "text_value": "May I fly?"}
    _write_events(
        settings,
        [
            _event(1, "question", QUESTION_CODE, text_value="Am I tired?"),
            _event(2, "question", QUESTION_CODE, text_value="MY HEAD HURTS!!!", subject_id=2),
            _event(3, "question", QUESTION_CODE, text_value="And my head?", subject_id=2),
            _event(4, "question", QUESTION_CODE, subject_id=3, **earlier),
        ],
    )
    table = questions.build_questions(settings, NIGHT, SINCE)
    assert sorted(table["topic of the question"].to_list()) == ["headache", "tiredness"]
    loud = table.filter(pl.col("topic of the question") == "headache").to_dicts()[0]
    assert (loud["words of the question"], loud["share of marks"]) == (3.0, 3 / 16)
    words = {word for row in table.rows() for cell in row if isinstance(cell, str) for word in cell.split()}
    assert not words & {"MY", "HEAD", "HURTS!!!", "Am", "I", "tired?"}


def _interaction(patient: int, as_of: datetime, ident: str = "a", refiner: str = "policy-1") -> str:
    return json.dumps(
        {
            "id": ident,
            "patient": patient,
            "candidates": 20,
            "kept": ["safety", "pregnancy", "allergies", "haemoglobin.latest"],
            "program": {"picks": ["haemoglobin.latest"], "style": "brief", "log_prob": -1.0},
            "language": "en",
            "signs": [],
            "personalization": "full",
            "versions": {"as_of": as_of.isoformat(), "refiner": refiner},
        }
    )


def test_questions_answered_since_the_night_before_belong_to_this_night(settings: Settings) -> None:
    log = settings.workspace / "interactions" / "20260701.jsonl"
    log.parent.mkdir(parents=True)
    night_before, this_night = SINCE, KNOWN
    log.write_text("\n".join([_interaction(1, night_before), _interaction(2, this_night)]))
    table = prompts.build_served(settings, NIGHT, end_of_night("20260613"))
    assert table.height == 1
    assert table.to_dicts()[0]["first pick of policy-1"] == "haemoglobin.latest"
    assert prompts.build_served(settings, "20260615", end_of_night(NIGHT)).height == 1


def test_another_champions_choices_are_no_drift_and_its_own_are_compared(settings: Settings) -> None:
    log = settings.workspace / "interactions" / "20260614.jsonl"
    log.parent.mkdir(parents=True)
    asked = [(1, "ranking"), (2, "policy-1"), (3, "policy-1")]
    log.write_text("\n".join(_interaction(one, KNOWN - timedelta(hours=3), f"{one}", by) for one, by in asked))
    table = prompts.build_served(settings, NIGHT, end_of_night("20260613"))
    counted = {name: table[name].drop_nulls().len() for name in table.columns}
    assert (counted["first pick of ranking"], counted["first pick of policy-1"]) == (1, 2)
    assert counted["candidates served"] == 3


def test_one_patient_who_asks_all_day_is_one_sampling_unit(settings: Settings) -> None:
    log = settings.workspace / "interactions" / "20260614.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(_interaction(7, KNOWN - timedelta(hours=3), f"{i}") for i in range(30)))
    assert prompts.build_served(settings, NIGHT, end_of_night("20260613")).height == 1


def test_the_reward_of_the_nearest_facts_is_read_from_the_score_cache(settings: Settings) -> None:
    assert rewards.build_held_out(settings, NIGHT, SINCE).is_empty()
    asked = replace(_episode(1, KNOWN, "a"), split="gate")
    episode_file.write_episodes(settings, [asked])
    cache = ScoreCache(cache_path(settings))
    program = EditProgram(("peer.weight", "haemoglobin.latest"))
    cache.put(
        hash_trial(EmbeddedScorer(settings.embedded_llm).id, build_trial(asked, program)),
        SentenceScores((-4.0,), (2,)),
    )
    cache.flush()
    (value,) = rewards.build_held_out(settings, NIGHT, SINCE)["reward of the nearest facts"]
    assert value == pytest.approx(-2.0 - 0.001 * 14)


def test_under_another_scorer_than_the_embedded_model_no_reward_is_computed(settings: Settings) -> None:
    episode_file.write_episodes(settings, [replace(_episode(1, KNOWN, "a"), split="gate")])
    served = settings.model_copy(update={"scorer": "vllm"})
    assert rewards.build_held_out(served, NIGHT, SINCE).is_empty()


def test_ratings_of_the_night_are_its_rewards(settings: Settings) -> None:
    ratings = [_event(i + 1, "rating", "PMLM//RATING", numeric_value=float(i + 1)) for i in range(5)]
    _write_events(settings, ratings)
    assert sorted(rewards.build_ratings(settings, NIGHT, SINCE)["rating"]) == [1, 2, 3, 4, 5]


def test_a_night_that_holds_nothing_has_empty_tables(settings: Settings, clinic: Callable[..., str]) -> None:
    for family in (records, features, prompts, rewards):
        for table in family.TABLES:
            assert table.build(settings, NIGHT, SINCE).is_empty()
