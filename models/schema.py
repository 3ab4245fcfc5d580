"""Types shared by every part of PMLM: events, episodes, segments, edit programs.

An *event* is one coded fact with two times: ``time`` (when it happened) and ``known_at`` (when the clinic knew).
Everything computed as of T reads events with ``known_at <= T`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")

#: MEDS columns (``meds`` 0.4: subject_id, time, code, numeric_value, text_value) plus what PMLM adds.
#: ``kind`` is one of ``KINDS``. ``record`` is the keyed hash of the source resource's type, id and facet (a blood
#: pressure panel has one facet per component, a condition one for its end): all versions of one fact share it, and as
#: of T the version with the greatest ``known_at <= T`` counts. A version whose code is ``DELETED`` hides the fact from
#: then on. ``parent`` is the ``record`` it answers (reply → question, rating → reply, end → start). ``source`` is the
#: hash of the raw line. Dates as values are ISO text in ``text_value``. A rated answer of a language model is a
#: ``reply`` without text whose ``numeric_value`` is its number of words.
EVENT_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", TIMESTAMP),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field("text_value", pa.string()),
        pa.field("known_at", TIMESTAMP, nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("unit", pa.string()),
        pa.field("encounter_id", pa.int64()),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("parent", pa.int64()),
        pa.field("source", pa.string(), nullable=False),
    ]
)

DELETED = "PMLM//DELETED"

KINDS = (
    "patient",
    "encounter",
    "encounter.missed",
    "encounter.emergency",
    "condition",
    "condition.suspected",
    "condition.end",
    "episode",
    "episode.end",
    "observation",
    "medicine",
    "medicine.end",
    "procedure",
    "allergy.medication",
    "allergy.food",
    "allergy.environment",
    "allergy.other",
    "allergy.unconfirmed.medication",
    "allergy.unconfirmed.food",
    "allergy.unconfirmed.environment",
    "allergy.unconfirmed.other",
    "allergy.unread",
    "question",
    "reply",
    "rating",
    "dispute",
    "observation.disputed",
    "episode.disputed",
    "procedure.disputed",
    "deleted",
)

FeatureRow = Mapping[str, Any]
"""One patient's features as of a moment: feature name (unique over all views) → value, None where unknown."""

SegmentKind = Literal["pinned", "record", "change", "behaviour", "preference", "peer", "prediction"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One typed candidate sentence of the hard prompt.

    ``key`` is unique within a prompt and stable over nights (``haemoglobin.latest``). ``text`` is a single line without
    dates or identifiers. ``sources`` names the events (their ``source`` hashes) or the peer aggregate (``peers:n=23``)
    behind it. ``tokens`` is its length under the embedded LLM's tokenizer. ``recency_days`` is the age of the newest
    source (None where it has no age), ``change`` the distance from the patient's own band in standard deviations,
    ``peer_lift`` the share of peers with the outcome, ``surprise`` how unexpected the last visit was, for segments
    about visits (nats, ``models.patient.forecaster``). ``donors`` counts the patients of whom the fact was known when
    they asked a like question (0 or at least k), ``share`` says of how many of them the reply took it up (rounded, None
    without donors), ``guidance`` which published guidance requires the fact for the question. These three are of a
    ranked prompt alone and in no file of episodes.
    """

    key: str
    kind: SegmentKind
    text: str
    pinned: bool = False
    sources: tuple[str, ...] = ()
    tokens: int = 0
    recency_days: float | None = None
    change: float = 0.0
    peer_lift: float = 0.0
    surprise: float = 0.0
    donors: int = 0
    share: float | None = None
    guidance: str | None = None


@dataclass(frozen=True, slots=True)
class EditProgram:
    """A policy's edit of the initial prompt: free segments in order, and a style.

    ``log_prob`` is the natural log of the program's probability under the policy (0 for rules).
    """

    picks: tuple[str, ...]
    style: str = "plain"
    log_prob: float = 0.0


@dataclass(frozen=True, slots=True)
class Episode:
    """A patient's question, the segments known at that moment and the clinician's reply.

    ``segments`` holds pinned and free candidates in the initial prompt's order. ``reply`` is a tuple of
    sentences; ``specific`` says of each whether it was written for this patient (``models.reward.terms``). ``rating``
    is 1–5 or None. ``split`` is ``train``, ``gate`` or ``test``. ``facts`` are the segment keys behind a simulated
    reply: for evaluation only, never shown to a policy.
    """

    episode_id: str
    subject_id: int
    as_of: datetime
    question: str
    segments: tuple[Segment, ...]
    reply: tuple[str, ...]
    specific: tuple[bool, ...] = ()
    rating: float | None = None
    split: str = "train"
    topic: str | None = None
    facts: frozenset[str] = field(default_factory=frozenset)

    @property
    def pinned(self) -> tuple[Segment, ...]:
        """Segments outside the policy's reach."""
        return tuple(s for s in self.segments if s.pinned)

    @property
    def free(self) -> tuple[Segment, ...]:
        """Segments the policy may choose from, in the initial prompt's order."""
        return tuple(s for s in self.segments if not s.pinned)
