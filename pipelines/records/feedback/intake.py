"""What was said of answers since the night before becomes part of the record, as the ledger's other events do.

A patient's rating, thumb or preference becomes a rating of an answer, from which ``feature_repo.groups.preferences``
learns how she likes to be answered. A clinician's edit becomes her question with a clinician's reply, which training
treats as any reply. What clinicians think of an answer stays in the reward log: it is no preference of hers. Only
what counts within the cap (``models.feedback.cap_feedback``) comes in, known from the end of the drop's day on; what is
dated later waits for its day.

Killed at any moment, the next run does the same again: an event that is in the log is not written twice, and the ledger
entry is what makes a batch count. Without feedback nothing is read and nothing changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from models import feedback
from models.feedback import Feedback
from models.vocabulary import ANSWER_CODE, QUESTION_CODE, RATING_CODE, REPLY_CODE
from pipelines.night_dates import parse_night
from pipelines.records.feedback import texts
from pipelines.records.log import carryover, event_log, ledger
from pipelines.records.log.hash_sets import HashSet
from pipelines.records.read.fhir_time import end_of, to_datetime
from pmlm.settings import Settings


@dataclass(slots=True)
class FeedbackCounts:
    """What one intake made of the feedback: signals that became events, answers beyond the cap, edits that could not
    be placed (no such question was asked), and the events written."""

    ratings: int = 0
    edits: int = 0
    beyond_cap: int = 0
    not_placed: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """What the interaction log knows of an answer: hash of the question, words of the answer, when it was asked."""

    question: int
    words: int | None
    as_of: datetime


def ingest_feedback(settings: Settings, night: str) -> FeedbackCounts | None:
    """Append what counts to the event log; None where there is no feedback, or a later night has been taken in."""
    entries = ledger.read_entries(settings)
    if (
        not entries
        or entries[-1].night != night
        or not (reward_log_folder(settings).exists() or texts.list_raw_texts(settings))
    ):
        return None
    texts.deidentify_texts(settings, night)
    taken = FeedbackCounts()
    end = to_datetime(end_of(parse_night(night)))
    said = list(_read_countable(settings, end, taken))
    rows = [
        row for one, answered in _match_answers(settings, said) for row in _build_events(settings, one, answered, taken)
    ]
    batch = _append_events(settings, night, rows, end)
    if batch is not None:
        taken.events = event_log.count_events(settings, batch)
        entry = entries[-1]
        entry.batches = sorted({*entry.batches, batch})
        ledger.write_entry(settings, entry)
    return taken


def reward_log_folder(settings: Settings) -> Path:
    """Where the endpoint keeps its reward log."""
    return settings.workspace / "feedback"


def _read_countable(settings: Settings, end: datetime, taken: FeedbackCounts) -> Iterator[Feedback]:
    """The feedback that counts and is of a patient the clinic knows, as of ``end`` by the clinic's clock."""
    oldest = datetime.now(UTC) - timedelta(days=settings.feedback_days)
    patients: HashSet | None = None
    for path in sorted(reward_log_folder(settings).glob("*.jsonl")):
        if path.stem < f"{oldest:%Y%m%d}":
            continue
        kept, beyond = feedback.cap_feedback(_read_lines(path), settings.feedback_a_day)
        taken.beyond_cap += beyond
        patients = carryover.read_patients(settings) if patients is None else patients
        yield from (one for one in kept if one.at <= end and one.subject in patients)


def _read_lines(path: Path) -> Iterator[Feedback]:
    for line in path.read_text().splitlines():
        try:
            yield feedback.parse_feedback(line)
        except ValueError:  # a line that a crash has cut
            continue


def _match_answers(settings: Settings, said: list[Feedback]) -> Iterator[tuple[Feedback, LoggedAnswer]]:
    """Each with what is known of its answer; an answer that the interaction log does not hold is passed over."""
    answers = find_answers(settings, {one.answer for one in said})
    yield from ((one, answers[one.answer]) for one in said if one.answer in answers)


def find_answers(settings: Settings, wanted: set[str]) -> dict[str, LoggedAnswer]:
    """The wanted answers in the interaction log."""
    found: dict[str, LoggedAnswer] = {}
    files = (settings.workspace / "interactions").glob("*.jsonl") if wanted else ()
    for path in sorted(files, reverse=True):
        with path.open() as stream:
            for line in stream:
                # the id stands first; only the lines that matter are parsed
                if line[7:39] in wanted:
                    value: dict[str, Any] = json.loads(line)
                    as_of = datetime.fromisoformat(value["versions"]["as_of"])
                    found[value["id"]] = LoggedAnswer(value["question"], value.get("words"), as_of)
        if len(found) == len(wanted):
            break
    return found


def _build_events(
    settings: Settings, one: Feedback, answered: LoggedAnswer, taken: FeedbackCounts
) -> Iterable[dict[str, Any]]:
    """The events of one signal; none for what stays in the reward log."""
    source = sha256(one.line().encode()).hexdigest()
    shared = {"subject_id": one.subject, "source": source}
    record = settings.pseudonym("Answer", one.answer)
    if one.kind == "edit":
        text = texts.read_text(settings, one.id)
        if text is None or text["asked"] != answered.question:
            taken.not_placed += 1
            return []
        taken.edits += 1
        question = settings.pseudonym("Answer", one.answer, "question")
        reply = settings.pseudonym("Answer", one.answer, "edit", str(one.giver))
        return [
            shared | _build_event("question", QUESTION_CODE, question, answered.as_of, text=text["question"]),
            shared | _build_event("reply", REPLY_CODE, reply, one.at, text=text["edit"], parent=question),
        ]
    if one.by != "patient" or one.points is None:
        return []
    taken.ratings += 1
    rating = settings.pseudonym("Answer", one.answer, "rating", str(one.giver))
    return [
        shared | _build_event("reply", ANSWER_CODE, record, answered.as_of, number=answered.words),
        shared | _build_event("rating", RATING_CODE, rating, one.at, number=one.points, parent=record),
    ]


def _build_event(kind: str, code: str, record: int, time: datetime, *, number: float | None = None, text: str | None = None,
           parent: int | None = None) -> dict[str, Any]:  # fmt: skip
    return {
        "kind": kind, "code": code, "record": record, "time": time, "numeric_value": number, "text_value": text,
        "parent": parent, "unit": None, "encounter_id": None,
    }  # fmt: skip


def _append_events(settings: Settings, night: str, rows: list[dict[str, Any]], end: datetime) -> str | None:
    """Write the rows that say something new of their records as one batch; its name, or None."""
    if not rows:
        return None
    drafts = pl.DataFrame([row | {"known_at": end} for row in rows], schema=event_log.SCHEMA)
    drafts = drafts.unique("record", keep="last", maintain_order=True)
    before = (
        event_log.scan_events(settings)
        .join(drafts.lazy().select("record"), on="record", how="semi")
        .sort("known_at", "source")
        .unique("record", keep="last", maintain_order=True)
        .select("record", "numeric_value", "text_value", last="known_at")
        .collect()
    )
    same = ["record", "numeric_value", "text_value"]
    news = drafts.join(before.select(same), on=same, how="anti", nulls_equal=True)
    news = news.join(before.select("record", "last"), on="record", how="left")
    bumped = pl.max_horizontal("known_at", pl.col("last") + pl.duration(microseconds=1))
    news = news.with_columns(known_at=bumped).select(event_log.COLUMNS)
    return event_log.write_batch(settings, night, news) if len(news) else None
