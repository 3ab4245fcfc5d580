"""Read the disputes of single facts, so that prompts stop stating what is wrong.

The endpoint writes ``feedback/disputes/<day>.jsonl`` (``bentos.feedback.disputes``). Each dispute becomes an event, and
each entry behind its fact a new version that features pass over. Only what was known when the clinician spoke is meant:
a record that states the fact again counts again. Of an allergy only the event is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import polars as pl

from models.fact_disputes import (
    DISPUTE_KIND,
    Dispute,
    StatedDispute,
    concerns,
    format_statement,
    is_disputed,
    mark_disputed,
    parse_dispute,
    read_statements,
)
from models.vocabulary import DISPUTE_CODE
from pipelines.records.feedback import texts
from pipelines.records.log import event_log
from pmlm.settings import Settings
from pmlm.storage import read_lines


def has_disputes(settings: Settings) -> bool:
    """Whether any fact was ever disputed."""
    return texts.dispute_folder(settings).exists()


def build_dispute_rows(settings: Settings, end: datetime) -> tuple[int, list[dict[str, Any]]]:
    """Count the disputes given by ``end`` of known patients, and build the rows of events they become."""
    disputes = defaultdict[int, list[Dispute]](list)
    for dispute in _read_disputes(settings):
        if dispute.at <= end:
            disputes[dispute.subject].append(dispute)
    if not disputes:
        return 0, []
    mine = event_log.scan_events(settings).filter(pl.col("subject_id").is_in(list(disputes)))
    latest = mine.sort("known_at", "source").unique("record", keep="last", maintain_order=True).collect()
    known = set(latest["subject_id"].unique())
    rows = [_state_dispute(settings, d) for subject in sorted(known) for d in disputes[subject]]
    for event in latest.sort("record").iter_rows(named=True):
        if any(_calls_wrong(dispute, event) for dispute in disputes[event["subject_id"]]):
            kind, text = mark_disputed(event["kind"], event["code"], event["text_value"])
            rows.append(event | {"kind": kind, "text_value": text})
    return sum(len(disputes[subject]) for subject in known), rows


def list_disputes(settings: Settings, patient: str, as_of: datetime) -> list[tuple[StatedDispute, str | None]]:
    """The disputed facts of a patient, each with the clinician's own, de-identified words where they are stored."""
    mine = event_log.scan_events(settings).filter(
        (pl.col("subject_id") == settings.subject_id(patient)) & (pl.col("kind") == DISPUTE_KIND)
    )
    found = event_log.select_as_of(mine, as_of).select("text_value", "time").collect()
    stated = read_statements(found.iter_rows())
    return [(one, (texts.read_text(settings, one.id) or {}).get("comment")) for one in stated]


def _read_disputes(settings: Settings) -> Iterator[Dispute]:
    """Yield the disputes of the retention, those of the oldest day first."""
    oldest = settings.localize(datetime.now(UTC)) - timedelta(days=settings.feedback_days)
    for path in sorted(texts.dispute_folder(settings).glob("*.jsonl")):
        if path.stem >= f"{oldest:%Y%m%d}":
            yield from read_lines(path, parse_dispute)


def _calls_wrong(dispute: Dispute, event: dict[str, Any]) -> bool:
    """Whether the dispute is of this version of an event: known by then, and not disputed yet."""
    if event["known_at"] > dispute.at or is_disputed(event["text_value"] or ""):
        return False
    return concerns(dispute, event["kind"], event["code"], event["source"])


def _state_dispute(settings: Settings, dispute: Dispute) -> dict[str, Any]:
    return {
        "subject_id": dispute.subject,
        "time": dispute.at,
        "code": DISPUTE_CODE,
        "numeric_value": None,
        "text_value": format_statement(dispute),
        "kind": DISPUTE_KIND,
        "unit": None,
        "encounter_id": None,
        "record": settings.pseudonym("Dispute", dispute.id),
        "parent": None,
        "source": sha256(dispute.line().encode()).hexdigest(),
    }
