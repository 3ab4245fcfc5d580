"""Turn feedback on answers into events, as part of the night's import.

A patient's rating, thumb or preference becomes a rating of an answer, from which ``feature_repo.groups.preferences``
learns how the patient prefers to be answered. A clinician's edit becomes the patient's question with a clinician's
reply, which training treats as any reply. Clinicians' opinions of an answer stay in the reward log: they are no
preference of the patient. Only feedback within the daily cap (``models.feedback.cap_feedback``) counts; it is known
from the end of the drop's day on, and what is dated later waits for its day.

After a kill at any moment the next run does the same again: an event in the log is not written twice, and the ledger
entry is what makes a batch count. Without feedback nothing is read and nothing changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from models import feedback
from models.feedback import Feedback
from models.vocabulary import ANSWER_CODE, QUESTION_CODE, RATING_CODE, REPLY_CODE
from pipelines.night_dates import end_of_night
from pipelines.records.feedback import disputes, texts
from pipelines.records.log import carryover, event_log, ledger
from pipelines.records.log.spill import HashSet
from pmlm.settings import Settings
from pmlm.storage import read_lines


@dataclass(slots=True)
class FeedbackCounts:
    """Feedback of one night: ratings and edits that became events, and the number of events.

    ``beyond_cap`` counts answers over the daily cap, ``not_placed`` edits of a question that was not asked, and
    ``disputes`` the facts that a clinician called wrong.
    """

    ratings: int = 0
    edits: int = 0
    beyond_cap: int = 0
    not_placed: int = 0
    disputes: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """An answer in the interaction log: question hash, length in words, time of the question."""

    id: str
    question: int
    words: int | None
    as_of: datetime


def ingest_feedback(settings: Settings, night: str) -> FeedbackCounts | None:
    """Append the events of feedback to the log, as part of ``night``'s ledger entry.

    None where there is no feedback, or where ``night`` is not the last one ingested.
    """
    entries = ledger.read_entries(settings)
    has_feedback = reward_log_folder(settings).exists() or disputes.has_disputes(settings)
    has_feedback = has_feedback or bool(texts.list_raw_texts(settings))
    if not entries or entries[-1].night != night or not has_feedback:
        return None
    texts.deidentify_texts(settings, night)
    counts = FeedbackCounts()
    end = end_of_night(night)
    items = list(_read_countable(settings, end, counts))
    answers = find_answers(settings, {item.answer for item in items})
    rows = [
        row
        for item in items
        if item.answer in answers
        for row in _build_events(settings, item, answers[item.answer], counts)
    ]
    counts.disputes, disputed = disputes.build_dispute_rows(settings, end)
    batch = _append_events(settings, night, rows + disputed, end)
    if batch is not None:
        counts.events = event_log.count_events(settings, batch)
        entry = entries[-1]
        entry.batches = sorted({*entry.batches, batch})
        ledger.write_entry(settings, entry)
    return counts


def reward_log_folder(settings: Settings) -> Path:
    """The folder of the endpoint's reward log."""
    return settings.workspace / "feedback"


def _read_countable(settings: Settings, end: datetime, counts: FeedbackCounts) -> Iterator[Feedback]:
    """Yield the feedback given by ``end`` for known patients, within the cap."""
    oldest = settings.localize(datetime.now(UTC)) - timedelta(days=settings.feedback_days)
    patients: HashSet | None = None
    for path in sorted(reward_log_folder(settings).glob("*.jsonl")):
        if path.stem < f"{oldest:%Y%m%d}":
            continue
        items, beyond = feedback.cap_feedback(read_lines(path, feedback.parse_feedback), settings.feedback_a_day)
        counts.beyond_cap += beyond
        patients = carryover.read_patients(settings) if patients is None else patients
        yield from (item for item in items if item.at <= end and item.subject in patients)


def find_answers(settings: Settings, wanted: set[str]) -> dict[str, LoggedAnswer]:
    """The wanted answers, by id, that are in the interaction log."""
    answers: dict[str, LoggedAnswer] = {}
    files = (settings.workspace / "interactions").glob("*.jsonl") if wanted else ()
    for path in sorted(files, reverse=True):
        for answer in read_lines(path, partial(_parse_answer, {id_.encode() for id_ in wanted})):
            if answer is not None:
                answers[answer.id] = answer
        if len(answers) == len(wanted):
            break
    return answers


def _parse_answer(wanted: set[bytes], line: bytes) -> LoggedAnswer | None:
    """The answer in a line of the interaction log; None for one that is not wanted."""
    if line[7:39] not in wanted:  # the id stands first; only the lines that matter are parsed
        if not line.rstrip().endswith(b"}"):
            raise ValueError("a torn line")
        return None
    value: dict[str, Any] = json.loads(line)
    as_of = datetime.fromisoformat(value["versions"]["as_of"])
    return LoggedAnswer(value["id"], value["question"], value.get("words"), as_of)


def _build_events(
    settings: Settings, item: Feedback, answer: LoggedAnswer, counts: FeedbackCounts
) -> Iterable[dict[str, Any]]:
    """The events of one piece of feedback; none for what stays in the reward log."""
    source = sha256(item.line().encode()).hexdigest()
    shared = {"subject_id": item.subject, "source": source}
    record = settings.pseudonym("Answer", item.answer)
    if item.kind == "edit":
        text = texts.read_text(settings, item.id)
        if text is None or text.get("asked") != answer.question:
            counts.not_placed += 1
            return []
        counts.edits += 1
        question = settings.pseudonym("Answer", item.answer, "question")
        reply = settings.pseudonym("Answer", item.answer, "edit", str(item.giver))
        return [
            shared | _build_event("question", QUESTION_CODE, question, answer.as_of, text=text["question"]),
            shared | _build_event("reply", REPLY_CODE, reply, item.at, text=text["edit"], parent=question),
        ]
    if item.by != "patient" or item.points is None:
        return []
    counts.ratings += 1
    rating = settings.pseudonym("Answer", item.answer, "rating", str(feedback.find_client(item)))
    return [
        shared | _build_event("reply", ANSWER_CODE, record, answer.as_of, number=answer.words),
        shared | _build_event("rating", RATING_CODE, rating, item.at, number=item.points, parent=record),
    ]


def _build_event(kind: str, code: str, record: int, time: datetime, *, number: float | None = None,
                 text: str | None = None, parent: int | None = None) -> dict[str, Any]:  # fmt: skip
    return {
        "kind": kind, "code": code, "record": record, "time": time, "numeric_value": number, "text_value": text,
        "parent": parent, "unit": None, "encounter_id": None,
    }  # fmt: skip


def _append_events(settings: Settings, night: str, rows: list[dict[str, Any]], end: datetime) -> str | None:
    """Write the rows that change their record as one batch; its name, or None."""
    if not rows:
        return None
    drafts = pl.DataFrame([row | {"known_at": end} for row in rows], schema=event_log.SCHEMA)
    drafts = drafts.unique("record", keep="last", maintain_order=True)
    latest = (
        event_log.scan_events(settings)
        .join(drafts.lazy().select("record"), on="record", how="semi")
        .sort("known_at", "source")
        .unique("record", keep="last", maintain_order=True)
        .select("record", "kind", "numeric_value", "text_value", last="known_at")
        .collect()
    )
    same = ["record", "kind", "numeric_value", "text_value"]
    fresh = drafts.join(latest.select(same), on=same, how="anti", nulls_equal=True)
    fresh = fresh.join(latest.select("record", "last"), on="record", how="left")
    after_last = pl.max_horizontal("known_at", pl.col("last") + pl.duration(microseconds=1))
    fresh = fresh.with_columns(known_at=after_last).select(event_log.COLUMNS)
    return event_log.write_batch(settings, night, fresh) if len(fresh) else None
