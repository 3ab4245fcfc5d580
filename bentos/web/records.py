"""What the page draws and lists: who there is, her trajectories, her peers, the events behind a sentence."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from bentos.personalizer.patient_events import Event
from bentos.personalizer.timeline import week_at
from bentos.web.page_types import Band, Listed, Moved, PeerOutcome, Peers, Point, SourceEvent, Sources, Trajectory
from models import feature_row as read
from models.patient.change_detection import Change, change
from models.peers.counts import round_count
from models.peers.search import OUTCOMES
from models.prompt.sentences.behaviour import OLDEST_AGE, age_years
from models.prompt.sentences.pinned import pinned
from models.schema import FeatureRow
from models.templates import ago, label
from models.vocabulary import SIGNALS, Signal
from pmlm.api_types import Language

OLDEST = timedelta(days=730)
AGE_BAND = 5
DAY = 86_400
VISITS = {
    "encounter": timedelta(days=90),
    "encounter.missed": timedelta(days=365),
    "encounter.emergency": timedelta(days=365),
}


def pregnancy(row: FeatureRow, as_of: datetime, language: Language) -> str:
    """The prompt's own sentence about pregnancy."""
    return next(s.text for s in pinned(row, as_of, language) if s.key == "pregnancy")


def listed(subject: int, row: FeatureRow, news: datetime, as_of: datetime, language: Language) -> Listed:
    """One patient as the list names her; her age as a band of five years."""
    birth = read.moment(row, "birth")
    return Listed(
        reference=f"subject:{subject}",
        pregnancy=pregnancy(row, as_of, language),
        age=None if birth is None or birth > as_of else _age_band(age_years(birth, as_of)),
        news=ago(news, as_of, language),
    )


def unread(subject: int, news: datetime, as_of: datetime, language: Language) -> Listed:
    """One patient whose features cannot be read at the moment: nothing is said of her but how new her entries are."""
    return Listed(reference=f"subject:{subject}", pregnancy="", age=None, news=ago(news, as_of, language))


def _age_band(years: int) -> str:
    if years >= OLDEST_AGE:
        return f"{OLDEST_AGE}+"
    low = years // AGE_BAND * AGE_BAND
    return f"{low}–{low + AGE_BAND - 1}"


def trajectories(events: list[Event], row: FeatureRow, as_of: datetime, language: Language) -> list[Trajectory]:
    """Every signal with at least one value in two years; those furthest outside her own band first."""
    found = [t for s in SIGNALS if (t := _trajectory(s, events, row, as_of, language)).points]
    return sorted(found, key=lambda t: (-abs(t.change.z) if t.change else 0.0, -len(t.points), t.name))


def _trajectory(
    signal: Signal, events: list[Event], row: FeatureRow, as_of: datetime, language: Language
) -> Trajectory:
    moved = change(row, signal, as_of)
    points = [
        Point(days=round((as_of - e.time).total_seconds() / DAY, 2), value=e.value)
        for e in events
        if e.code in signal.codes and e.value is not None and e.time and timedelta(0) <= as_of - e.time <= OLDEST
    ]
    return Trajectory(
        name=signal.name,
        label=label("signal", signal.name, signal.label, language),
        unit=label("unit", signal.unit, f" {signal.unit}", language).strip(),
        decimals=signal.decimals,
        points=points,
        band=_band(signal, row),
        change=_moved(moved) if moved else None,
    )


def _moved(found: Change) -> Moved:
    return Moved(
        direction=found.direction,
        difference=round(found.difference, 2),
        days=found.days,
        z=round(found.z, 2),
        outside=found.outside,
    )


def _band(signal: Signal, row: FeatureRow) -> Band | None:
    """The band that ``models.patient.change_detection`` measures from: two deviations around her own mean."""
    mean = read.number(row, f"{signal.name}_mean")
    if mean is None:
        return None
    half = 2 * max(read.number(row, f"{signal.name}_sd") or 0.0, signal.step)
    return Band(mean=round(mean, 2), low=round(mean - half, 2), high=round(mean + half, 2))


def peers(row: FeatureRow, k: int, language: Language) -> Peers:
    """The aggregates of her row; none where fewer than ``k`` women are alike, whatever a store may hold."""
    count = int(read.number(row, "peers_count") or 0)
    if count < k:
        return Peers(count=0, k=k, outcomes=[])
    outcomes = [
        PeerOutcome(name=o.name, label=label("outcome", o.name, o.label, language), unit=o.unit.strip(), value=value)
        for o in OUTCOMES
        if (value := read.number(row, f"peer_{o.name}")) is not None
    ]
    return Peers(count=round_count(count, k), k=k, outcomes=outcomes)


def sources(
    wanted: Collection[str], events: list[Event], row: FeatureRow, as_of: datetime, language: Language
) -> Sources:
    """The events behind the sources of a sentence, newest first, and the sources that are no single event."""
    lines = [e for e in events if e.source in wanted and not e.kind.endswith(".end")]
    if any(source.startswith("visits:") for source in wanted):
        lines += [e for e in events if e.kind in VISITS and e.time and as_of - e.time <= VISITS[e.kind]]
    shown = [_shown(e, row, as_of, language) for e in reversed(lines)]
    held = {e.source for e in events}
    return Sources(events=shown, summaries=sorted(s for s in set(wanted) if s not in held))


def _shown(event: Event, row: FeatureRow, as_of: datetime, language: Language) -> SourceEvent:
    value = None if event.value is None else f"{event.value:g} {event.unit}".strip()
    if event.value is None and event.kind == "observation":
        value = event.name or None
    # a birth date or an expected delivery date must not follow from "days ago" beside it
    dated = event.kind != "patient"
    return SourceEvent(
        what=event.name or event.kind,
        kind=event.kind,
        value=value,
        ago=ago(event.time, as_of, language) if event.time and dated else None,
        week=week_at(event.time, row) if event.time and dated else None,
    )
