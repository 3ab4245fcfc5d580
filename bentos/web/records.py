"""Build what the page shows: the patient list, trajectories, peers, sources of a sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import cast, get_args

from bentos.personalizer.patient.patient_events import PatientEvent
from bentos.personalizer.patient.timeline import week_at
from bentos.web.page_types import (
    Band,
    Belief,
    BeliefName,
    Beliefs,
    EvidenceEvent,
    PatientEntry,
    PeerFigure,
    PeerSummary,
    Point,
    SignalChange,
    SignalTrajectory,
    Sources,
)
from models.fact_disputes import DISPUTE_KIND, StatedDispute, read_statements
from models.feature_row import read_number, read_time
from models.patient.change_detection import Change, detect_change
from models.patient.currency import CurrencyRule
from models.patient.facts import list_facts
from models.patient.summary import DISPUTED, summarize_patient
from models.peers.aggregates import OUTCOMES, PeerStatistic, round_count
from models.peers.outcome_estimates import Findings, estimate_outcomes
from models.prompt.sentences.behaviour import OLDEST_AGE, compute_age
from models.prompt.sentences.pinned import build_pinned_segments
from models.schema import FeatureRow
from models.templates import format_ago, look_up_label, sanitize_record_text
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


def describe_pregnancy(row: FeatureRow, as_of: datetime, language: Language) -> str:
    """The prompt's own sentence about pregnancy."""
    return next(s.text for s in build_pinned_segments(row, as_of, language) if s.key == "pregnancy")


def list_beliefs(
    row: FeatureRow, as_of: datetime, rule: CurrencyRule, disputes: Sequence[StatedDispute] = ()
) -> list[Beliefs]:
    """The lists of ``pmlm patient`` that have something, so that a clinician can say what is wrong."""
    summary = summarize_patient(row, as_of, rule, [(dispute, None) for dispute in disputes])
    lines: dict[BeliefName, dict[str, Belief]] = {name: {} for name in get_args(BeliefName)}
    words = {dispute.key: f"disputed by a clinician {format_ago(dispute.at, as_of, 'en')}" for dispute in disputes}
    for fact in list_facts(summary):
        name = cast("BeliefName", fact.belief)
        note = words.get(fact.key, "") if fact.group == "allergy" else ""
        lines[name].setdefault(fact.text, Belief(text=f"{fact.text} ({note})" if note else fact.text, fact=fact.key))
    for entry in summary.not_current:
        if entry.disputed and (text := sanitize_record_text(entry.text)):
            lines["not_current"].setdefault(text, Belief(text=f"{text}: {DISPUTED}", fact=None))
    for entry in summary.unmapped:
        if text := sanitize_record_text(entry.text):
            lines["unmapped"].setdefault(text, Belief(text=text, fact=None))
    return [Beliefs(name=name, lines=list(found.values())) for name, found in lines.items() if found]


def list_disputes(events: Sequence[PatientEvent]) -> list[StatedDispute]:
    """The facts of a patient that a clinician called wrong."""
    return read_statements((e.name, e.time or e.known_at) for e in events if e.kind == DISPUTE_KIND)


def list_patient(subject: int, row: FeatureRow, newest: datetime, as_of: datetime, language: Language) -> PatientEntry:
    """One patient's entry; the age is a band of five years."""
    birth = read_time(row, "birth")
    return PatientEntry(
        reference=f"subject:{subject}",
        pregnancy=describe_pregnancy(row, as_of, language),
        age=None if birth is None or birth > as_of else _age_band(compute_age(birth, as_of)),
        news=format_ago(newest, as_of, language),
    )


def list_unread(subject: int, newest: datetime, as_of: datetime, language: Language) -> PatientEntry:
    """The entry of a patient whose features cannot be read."""
    return PatientEntry(
        reference=f"subject:{subject}", pregnancy="", age=None, news=format_ago(newest, as_of, language)
    )


def _age_band(years: int) -> str:
    if years >= OLDEST_AGE:
        return f"{OLDEST_AGE}+"
    low = years // AGE_BAND * AGE_BAND
    return f"{low}–{low + AGE_BAND - 1}"


def build_trajectories(
    events: list[PatientEvent], row: FeatureRow, as_of: datetime, language: Language
) -> list[SignalTrajectory]:
    """Every signal of two years, those furthest outside the patient's own band first."""
    found = [t for s in SIGNALS if (t := _build_trajectory(s, events, row, as_of, language)).points]
    return sorted(found, key=lambda t: (-abs(t.change.z) if t.change else 0.0, -len(t.points), t.name))


def _build_trajectory(
    signal: Signal, events: list[PatientEvent], row: FeatureRow, as_of: datetime, language: Language
) -> SignalTrajectory:
    latest = detect_change(row, signal, as_of)
    points = [
        Point(days=round((as_of - e.time).total_seconds() / DAY, 2), value=e.value)
        for e in events
        if e.code in signal.codes and e.value is not None and e.time and timedelta(0) <= as_of - e.time <= OLDEST
    ]
    return SignalTrajectory(
        name=signal.name,
        label=look_up_label("signal", signal.name, signal.label, language),
        unit=look_up_label("unit", signal.unit, f" {signal.unit}", language).strip(),
        decimals=signal.decimals,
        points=points,
        band=_band(signal, row),
        change=_describe_change(latest) if latest else None,
    )


def _describe_change(found: Change) -> SignalChange:
    return SignalChange(
        direction=found.direction,
        difference=round(found.difference, 2),
        days=found.days,
        z=round(found.z, 2),
        outside=found.outside,
    )


def _band(signal: Signal, row: FeatureRow) -> Band | None:
    """The patient's usual band: two deviations around the own mean."""
    mean = read_number(row, f"{signal.name}_mean")
    if mean is None:
        return None
    half = 2 * max(read_number(row, f"{signal.name}_sd") or 0.0, signal.step)
    return Band(mean=round(mean, 2), low=round(mean - half, 2), high=round(mean + half, 2))


def summarize_peers(row: FeatureRow, findings: Findings, k: int, language: Language) -> PeerSummary:
    """What prompts state of similar patients; nothing below ``k`` of them, whatever a store holds."""
    count = int(read_number(row, "peers_count") or 0)
    if count < k:
        return PeerSummary(count=0, k=k, outcomes=[], unstated=[])

    def label(outcome: PeerStatistic) -> str:
        return look_up_label("outcome", outcome.name, outcome.label, language)

    return PeerSummary(
        count=round_count(count, k),
        k=k,
        outcomes=[
            PeerFigure(name=e.outcome.name, label=label(e.outcome), unit=e.outcome.unit.strip(), value=e.value)
            for e in estimate_outcomes(row, findings)
        ],
        unstated=[label(o) for o in OUTCOMES if o.name not in findings or not findings[o.name].is_stated],
    )


def find_sources(
    wanted: Collection[str], events: list[PatientEvent], row: FeatureRow, as_of: datetime, language: Language
) -> Sources:
    """The events behind a sentence, newest first, and the sources that are no single event."""
    lines = [e for e in events if e.source in wanted and not e.kind.endswith(".end")]
    if any(source.startswith("visits:") for source in wanted):
        lines += [e for e in events if e.kind in VISITS and e.time and as_of - e.time <= VISITS[e.kind]]
    shown = [_describe_event(e, row, as_of, language) for e in reversed(lines)]
    known = {e.source for e in events}
    return Sources(events=shown, summaries=sorted(s for s in set(wanted) if s not in known))


def _describe_event(event: PatientEvent, row: FeatureRow, as_of: datetime, language: Language) -> EvidenceEvent:
    value = None if event.value is None else f"{event.value:g} {event.unit}".strip()
    if event.value is None and event.kind == "observation":
        value = event.name or None
    # a birth date or an expected delivery date must not follow from the "days ago" of its event
    dated = event.kind != "patient"
    return EvidenceEvent(
        what=event.name or event.kind,
        kind=event.kind,
        value=value,
        ago=format_ago(event.time, as_of, language) if event.time and dated else None,
        week=week_at(event.time, row, as_of) if event.time and dated else None,
    )
