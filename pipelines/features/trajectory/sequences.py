"""Read the event log as the trajectory model does: each patient's days and their codes.

A measured signal is graded low, usual or high (on the fixed scales of ``models.peers.patient_embedding``), a question
becomes the nearest of ``TOPICS`` centres of the training patients' questions; everything else is its code. The night's
training, the feature build and ``pmlm evaluate`` all read through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from models.encoder import Encoder
from models.patient.forecaster import QUESTION_PREFIX
from models.patient.trajectory import PatientDays
from models.peers.patient_embedding import DAY, SIGNAL_SCALES
from models.vocabulary import BIRTH_CODE, SIGNAL_BY_CODE
from pipelines import splits
from pipelines.records.log import event_log
from pmlm.settings import Settings

VISIT_KINDS = (
    "encounter", "encounter.missed", "encounter.emergency", "condition", "observation", "medicine", "procedure"
)  # fmt: skip
TOPICS = 24


def find_centres(questions: Sequence[str], encoder: Encoder) -> NDArray[np.float32] | None:
    """Find ``TOPICS`` centres [n, 384] of these questions by k-means; None without questions."""
    unique = sorted(set(questions))
    if not unique:
        return None
    found = KMeans(min(TOPICS, len(unique)), n_init=4, random_state=0).fit(encoder.encode(unique)).cluster_centers_
    return np.asarray(found, dtype=np.float32)


def assign_topics(questions: Sequence[str], centres: NDArray[np.float32] | None, encoder: Encoder) -> list[str | None]:
    """Return the code of each question's nearest centre; None without centres."""
    if centres is None or not questions:
        return [None] * len(questions)
    vectors = encoder.encode(list(questions))
    nearest = ((vectors[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
    return [f"{QUESTION_PREFIX}{i:02d}" for i in nearest]


def read_events(settings: Settings, until: datetime) -> pl.DataFrame:
    """Read the model's events as known at ``until``, sorted by patient and time.

    A fact without a time of its own happened when it became known, as everywhere in the features.
    """
    known = event_log.select_as_of(event_log.scan_events(settings), until).with_columns(
        pl.coalesce("time", "known_at").dt.truncate("1s").alias("time")
    )
    wanted = known.filter(
        pl.col("time") <= until, pl.col("kind").is_in([*VISIT_KINDS, "question"]) | (pl.col("code") == BIRTH_CODE)
    )
    return (
        wanted.select("subject_id", "time", "kind", "code", "numeric_value", "text_value")
        .sort("subject_id", "time", "code")
        .collect()
    )


def build_records(found: pl.DataFrame, centres: NDArray[np.float32] | None, encoder: Encoder) -> list[PatientDays]:
    """Build a record per patient with a birth date and a day, sorted by patient."""
    read = found.with_columns(read=pl.Series(encode_events(found, centres, encoder), dtype=pl.String))
    out = []
    for (subject,), rows in read.group_by("subject_id", maintain_order=True):
        seconds = rows["time"].dt.epoch("s").to_numpy()
        births = seconds[(rows["code"] == BIRTH_CODE).to_numpy()]
        if len(births) and (record := build_record(int(subject), int(births[0]), seconds, rows["read"].to_list())):
            out.append(record)
    return out


def build_record(
    subject: int, birth: int, seconds: NDArray[np.int64], read: Sequence[str | None]
) -> PatientDays | None:
    """Build a patient's days since ``birth`` and their codes; None without any.

    ``birth`` and ``seconds`` count from 1970.
    """
    days: dict[int, set[str]] = {}
    for day, code in zip(((seconds - birth) // DAY).tolist(), read, strict=True):
        if code is not None:
            days.setdefault(day, set()).add(code)
    ordered = sorted(days)
    if not ordered:
        return None
    return PatientDays(subject, tuple(map(float, ordered)), tuple(frozenset(days[d]) for d in ordered))


def encode_events(rows: pl.DataFrame, centres: NDArray[np.float32] | None, encoder: Encoder) -> list[str | None]:
    """Return each event's code as the model reads it, or None."""
    questions = rows.filter(pl.col("kind") == "question")["text_value"].fill_null("").to_list()
    return _encode_events(rows, assign_topics(questions, centres, encoder))


def _encode_events(rows: pl.DataFrame, topics: Iterable[str | None]) -> list[str | None]:
    topic = iter(topics)
    out: list[str | None] = []
    exact = rows["numeric_value"].set(rows["text_value"].is_not_null(), None)  # a bound has no grade
    for kind, code, value in zip(rows["kind"], rows["code"], exact, strict=True):
        if kind == "question":
            out.append(next(topic))
        elif code == BIRTH_CODE:
            out.append(None)
        elif kind == "observation":
            out.append(f"{kind}|{_grade_value(code, value)}")
        else:
            out.append(f"{kind}|{code}")
    return out


def _grade_value(code: str, value: float | None) -> str:
    signal = SIGNAL_BY_CODE.get(code)
    if signal is None or value is None or signal.name not in SIGNAL_SCALES:
        return code
    centre, scale = SIGNAL_SCALES[signal.name]
    place = (value - centre) / scale
    return f"{signal.name}:{'low' if place < -1 else 'high' if place > 1 else 'usual'}"


def truncate_record(record: PatientDays, day: float) -> PatientDays:
    """Truncate a record before ``day`` since birth."""
    end = int(np.searchsorted(record.days, day))
    return PatientDays(record.subject_id, record.days[:end], record.codes[:end])


@dataclass(frozen=True, slots=True)
class TrainingRecords:
    """All records, and the part of them to train on.

    ``train`` are the training patients' days before the cut in time, ``start`` the cut in days since each patient's
    birth, ``centres`` [n, 384] the topics of their questions before it.
    """

    everybody: list[PatientDays]
    train: list[PatientDays]
    start: dict[int, float]
    centres: NDArray[np.float32] | None


def select_training_records(
    found: pl.DataFrame, shares: splits.SplitParams, encoder: Encoder
) -> TrainingRecords | None:
    """Select what a trajectory model may train on (``found``: ``read_events``); None without events."""
    asked = found.filter(pl.col("kind") == "question")
    times = (asked if len(asked) else found)["time"].drop_nulls().to_list()
    if not times:
        return None
    cut = splits.find_time_cut(times, shares.time_quantile)
    births = dict(found.filter(pl.col("code") == BIRTH_CODE).select("subject_id", "time").iter_rows())
    learners = {s for s in births if splits.assign_patient(s, shares) == splits.TRAIN}
    early = asked.filter(pl.col("subject_id").is_in(list(learners)), pl.col("time") < cut)
    centres = find_centres(early["text_value"].drop_nulls().to_list(), encoder)
    everybody = build_records(found, centres, encoder)
    start = {r.subject_id: float((cut - births[r.subject_id]).days) for r in everybody}
    train = [truncate_record(r, start[r.subject_id]) for r in everybody if r.subject_id in learners]
    return TrainingRecords(everybody, [r for r in train if r.days], start, centres)
