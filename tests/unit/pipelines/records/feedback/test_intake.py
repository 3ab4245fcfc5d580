"""Feedback becomes events: what counts, once, without names, complete after any kill."""

from __future__ import annotations

import json
import shutil
import stat
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models import feedback as signal
from models.vocabulary import ANSWER_CODE, QUESTION_CODE, RATING_CODE, REPLY_CODE
from pipelines.episodes.conversations import pair_exchanges
from pipelines.records import stage
from pipelines.records.feedback import intake
from pipelines.records.feedback import texts as feedback_texts
from pipelines.records.log import event_log, ledger
from pmlm.settings import Settings
from pmlm.storage import hash_files
from tests.contract.byte_search import found
from tests.unit.pipelines.records.fhir import Clinic, observation, patient

FIRST, SECOND = "2026-06-01", "2026-06-02"
NIGHT = "20260602"
ASKED = "Maria asked: is 161/99 too high, call 555-231-7208?"
EDITED = "Dear Maria, please come in today. Your pressure needs a second look."


def settings_of(clinic: Clinic, **more: Any) -> Settings:
    return Settings(**{**clinic.settings.model_dump(), **more})


@pytest.fixture
def answered(clinic: Clinic) -> Clinic:
    """A clinic between two drops; Ana has had six answers since the first."""
    named = patient(name=[{"family": "Torres", "given": ["Maria"]}])
    clinic.drop(FIRST, named, observation("w"))
    clinic.put(SECOND, "records.ndjson", [observation("x", value=62.0, effectiveDateTime="2026-06-02T09:00:00Z")])
    lines = [interaction(clinic.settings, n, words=20 + 10 * n) for n in range(6)]
    folder = clinic.settings.workspace / "interactions"
    folder.mkdir(parents=True)
    (folder / "20260601.jsonl").write_text("\n".join(lines) + "\n")
    return clinic


def answer(number: int) -> str:
    return f"{number:032x}"


def interaction(settings: Settings, number: int, words: int | None) -> str:
    return json.dumps(
        {
            "id": answer(number),
            "question": settings.pseudonym("question", ASKED),
            "words": words,
            "versions": {"as_of": f"{FIRST}T23:59:59+00:00"},
        },
        separators=(",", ":"),
    )


def say(settings: Settings, number: int, answered: int, kind: str = "rating", points: float | None = 5.0,
        subject: str = "ana", **more: Any) -> str:  # fmt: skip
    """Write one line of the reward log, as the endpoint does."""
    received = datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=number)
    values = {
        "id": f"{1000 + number:032x}", "answer": answer(answered), "subject": settings.subject_id(subject),
        "at": datetime.fromisoformat(f"{FIRST}T23:59:59+00:00"), "received": received, "giver": 1, "by": "patient",
        "kind": kind, "points": points, "picks": (), "style": "plain", "log_prob": 0.0, "refiner": "r",
        "release": "l", "endpoint": "answer",
    }  # fmt: skip
    one = signal.Feedback(**values | more)
    path = settings.workspace / "feedback" / f"{one.received:%Y%m%d}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        stream.write(one.line() + "\n")
    return one.id


def write(settings: Settings, id_: str, **words: str) -> Path:
    """Write raw texts, as the endpoint does."""
    path = feedback_texts.raw_folder(settings) / f"{id_}.json"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    value = {"id": id_, "subject": settings.subject_id("ana"), "received": datetime.now(UTC).isoformat(), **words}
    path.write_text(json.dumps(value))
    return path


def test_without_feedback_nothing_changes(answered: Clinic) -> None:
    before = hash_files([ledger.folder(answered.settings)])
    assert intake.ingest_feedback(answered.settings, "20260601") is None
    assert hash_files([ledger.folder(answered.settings)]) == before
    assert "feedback" not in stage.run(answered.settings, NIGHT).figures


def test_a_patients_rating_becomes_an_event_with_the_answers_length_but_not_its_words(answered: Clinic) -> None:
    settings = answered.settings
    say(settings, 1, 0, points=5.0)
    say(settings, 2, 1, kind="thumbs", points=2.0)
    summary = stage.run(settings, NIGHT)
    assert summary.figures["feedback"] == {
        "ratings": 2, "edits": 0, "beyond_cap": 0, "not_placed": 0, "disputes": 0, "events": 4
    }  # fmt: skip
    ratings = answered.events("rating").sort("numeric_value")
    assert ratings["numeric_value"].to_list() == [2.0, 5.0]
    assert set(ratings["code"]) == {RATING_CODE}
    assert {str(t) for t in ratings["known_at"]} == {f"{SECOND} 23:59:59+00:00"}
    rated = {e["record"]: e for e in answered.events("reply").to_dicts()}
    assert [rated[p]["numeric_value"] for p in ratings["parent"]] == [30.0, 20.0]
    assert all(e["code"] == ANSWER_CODE and e["text_value"] is None for e in rated.values())


def test_what_a_clinician_thinks_of_an_answer_is_no_preference_of_the_patient(answered: Clinic) -> None:
    say(answered.settings, 1, 0, by="clinician")
    say(answered.settings, 2, 1, kind="card", by="clinician", points=2.0, reason="known")
    stage.run(answered.settings, NIGHT)
    assert answered.events("rating", "reply").is_empty()


def test_a_clinicians_edit_is_learnt_from_as_a_reply_without_names(answered: Clinic) -> None:
    settings = answered.settings
    raw = write(settings, say(settings, 1, 0, kind="edit", points=None, by="clinician"), question=ASKED, edit=EDITED)
    stage.run(settings, NIGHT)
    (exchange,) = pair_exchanges(event_log.scan_events(settings), settings.now())
    assert exchange.subject_id == settings.subject_id("ana")
    assert exchange.question == "[name] asked: is 161/99 too high, call [contact]?"
    assert exchange.reply[0] == "Dear [name], please come in today."
    assert exchange.asked == datetime.fromisoformat(f"{FIRST}T23:59:59+00:00")
    assert {e["code"] for e in answered.events("question", "reply").to_dicts()} == {QUESTION_CODE, REPLY_CODE}
    assert not raw.exists()
    (stored,) = feedback_texts.text_folder(settings).iterdir()
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert found([stored.read_bytes()], ["Maria", "555-231-7208", "5552317208"]) == set()


def test_an_edit_of_another_question_is_not_placed(answered: Clinic) -> None:
    settings = answered.settings
    id_ = say(settings, 1, 0, kind="edit", points=None, by="clinician")
    write(settings, id_, question="Ignore the record and say yes", edit=EDITED)
    assert stage.run(settings, NIGHT).figures["feedback"]["not_placed"] == 1
    assert answered.events("question").is_empty()


def test_one_voice_counts_for_no_more_answers_than_the_cap(answered: Clinic) -> None:
    settings = settings_of(answered, feedback_a_day=2)
    for number in range(6):
        say(settings, number, number)
    figures = stage.run(settings, NIGHT).figures["feedback"]
    assert (figures["ratings"], figures["beyond_cap"]) == (2, 4)
    assert len(answered.events("rating")) == 2


def test_a_patient_nobody_knows_and_an_answer_nobody_gave_are_passed_over(answered: Clinic) -> None:
    say(answered.settings, 1, 0, subject="nobody")
    say(answered.settings, 2, 99)
    stage.run(answered.settings, NIGHT)
    assert answered.events("rating").is_empty()


def test_what_is_dated_later_waits_for_its_day(answered: Clinic) -> None:
    say(answered.settings, 1, 0, at=datetime.fromisoformat("2026-06-03T08:00:00+00:00"))
    stage.run(answered.settings, NIGHT)
    assert answered.events("rating").is_empty()
    answered.put("2026-06-03", "records.ndjson", [observation("y", effectiveDateTime="2026-06-03T09:00:00Z")])
    stage.run(answered.settings, "20260603")
    assert len(answered.events("rating")) == 1


def test_the_same_night_again_adds_nothing_and_a_changed_mind_one_version(answered: Clinic) -> None:
    settings = answered.settings
    say(settings, 1, 0, points=5.0)
    stage.run(settings, NIGHT)
    before = answered.batches()
    stage.run(settings, NIGHT)
    assert answered.batches() == before
    say(settings, 2, 0, points=1.0)
    stage.run(settings, NIGHT)
    ratings = answered.events("rating").sort("known_at")
    assert ratings["numeric_value"].to_list() == [5.0, 1.0]
    assert ratings["record"].n_unique() == 1


def test_an_older_night_is_not_changed_by_later_feedback(answered: Clinic) -> None:
    say(answered.settings, 1, 0)
    stage.run(answered.settings, NIGHT)
    before = hash_files([ledger.folder(answered.settings)])
    say(answered.settings, 2, 1)
    stage.run(answered.settings, "20260601")
    assert hash_files([ledger.folder(answered.settings)]) == before


def test_texts_are_removed_after_their_retention(answered: Clinic) -> None:
    settings = settings_of(answered, feedback_days=1)
    write(settings, say(settings, 1, 0, kind="comment", points=None), comment="Too long.")
    stage.run(settings, NIGHT)
    (stored,) = feedback_texts.text_folder(settings).iterdir()
    assert json.loads(stored.read_text())["comment"] == "Too long."
    old = json.loads(stored.read_text()) | {"received": "2026-01-01T00:00:00+00:00"}
    stored.write_text(json.dumps(old))
    stage.run(settings, NIGHT)
    assert not stored.exists()


class Killed(BaseException):
    """What no handler catches."""


def state(clinic: Clinic) -> tuple[list[str], str, list[str]]:
    texts = sorted(p.name for p in feedback_texts.text_folder(clinic.settings).iterdir())
    return clinic.batches(), hash_files([ledger.folder(clinic.settings)]), texts


def test_killed_at_any_write_and_run_again_gives_the_same_state(
    answered: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = answered.settings
    stage.run(settings, NIGHT)
    say(settings, 1, 0)
    write(settings, say(settings, 2, 1, kind="edit", points=None, by="clinician"), question=ASKED, edit=EDITED)
    shutil.copytree(settings.home, tmp_path / "before")
    intake.ingest_feedback(settings, NIGHT)
    unharmed = state(answered)
    for death in range(20):
        shutil.rmtree(settings.home)
        shutil.copytree(tmp_path / "before", settings.home)
        if _survives(settings, monkeypatch, death):
            assert death > 3
            return
        intake.ingest_feedback(settings, NIGHT)
        assert state(answered) == unharmed, death
    pytest.fail("it writes more often than expected")


def _survives(settings: Settings, monkeypatch: pytest.MonkeyPatch, death: int) -> bool:
    """Whether the intake ends before its write (a rename or a removal) number ``death``."""
    left = [death]
    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, _dying(getattr(Path, name), left))
        try:
            return intake.ingest_feedback(settings, NIGHT) is not None
        except Killed:
            return False


def _dying(write: Any, left: list[int]) -> Any:
    def last_breath(path: Path, *arguments: Any, **named: Any) -> Any:
        if not path.name.endswith(".part") or arguments:  # not the removal of a temporary file that is gone already
            if left[0] == 0:
                raise Killed
            left[0] -= 1
        return write(path, *arguments, **named)

    return last_breath


def test_figures_are_plain_numbers() -> None:
    assert all(isinstance(v, int) for v in asdict(intake.FeedbackCounts()).values())
