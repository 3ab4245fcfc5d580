"""Sentences on measured signals: the latest value, and what changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from models.feature_row import read_number, read_text, read_time
from models.patient.bounds import format_bound, format_preliminary, read_comparator
from models.patient.change_detection import Change, detect_change
from models.patient.gestational_age import read_pregnancy_state
from models.patient.reference_ranges import Level, classify_level
from models.schema import FeatureRow, Segment
from models.templates import format_ago, format_span, look_up_label, render_sentence
from models.vocabulary import SIGNALS, Signal

OLDEST = timedelta(days=730)
_PRESSURES = ("systolic", "diastolic")
#: Signals whose steadiness is worth a sentence; of the others only a change is.
_STEADY_TOO = ("weight", "haemoglobin", "glucose")
_LEVEL_ORDER: dict[Level | None, int] = {"high": 3, "low": 2, "usual": 1, None: 0}


def _days(now: datetime, then: datetime) -> float:
    return max(0.0, (now - then).total_seconds() / 86400)


def _format_value(signal: Signal, value: float) -> str:
    return f"{value:.{signal.decimals}f}"


def _format_unit(signal: Signal, language: str) -> str:
    return look_up_label("unit", signal.unit, f" {signal.unit}", language)


def build_signal_segments(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    """``{signal}.latest`` and ``{signal}.change`` of every signal, the two pressures as ``blood_pressure``."""
    pregnant = bool(read_pregnancy_state(row, as_of).pregnant)
    yield from _blood_pressure(row, as_of, language)
    for signal in SIGNALS:
        if signal.name not in _PRESSURES:
            yield from _latest(row, signal, as_of, language, pregnant)
            yield from _change(row, signal, as_of, language)


def _latest_value(row: FeatureRow, name: str, as_of: datetime) -> tuple[float, datetime, tuple[str, ...]] | None:
    """Value, time and sources of the latest value, if at most two years old."""
    value, at = read_number(row, f"{name}_latest"), read_time(row, f"{name}_time")
    if value is None or at is None or not timedelta(0) <= as_of - at <= OLDEST:
        return None
    source = read_text(row, f"{name}_source")
    return value, at, (source,) if source else (f"record:{name}",)


def _latest(row: FeatureRow, signal: Signal, as_of: datetime, language: str, pregnant: bool) -> Iterator[Segment]:
    recent = _latest_value(row, signal.name, as_of)
    if recent is None:
        return
    value, at, sources = recent
    comparator = read_comparator(row, signal.name)
    word = classify_level(signal.name, value, pregnant, comparator)
    sentence = render_sentence(
        "latest.value",
        language,
        label=look_up_label("signal", signal.name, signal.label, language),
        value=format_bound(comparator, _format_value(signal, value), language),
        unit=_format_unit(signal, language),
        ago=format_ago(at, as_of, language),
        level=word and render_sentence(f"level.{word}", language),
        preliminary=format_preliminary(row, signal.name, language),
    )
    moved = detect_change(row, signal, as_of)
    z = moved.z if moved else 0.0
    yield Segment(f"{signal.name}.latest", "record", sentence, False, sources, 0, _days(as_of, at), z)


def _change(row: FeatureRow, signal: Signal, as_of: datetime, language: str) -> Iterator[Segment]:
    moved, at = detect_change(row, signal, as_of), read_time(row, f"{signal.name}_time")
    if moved is None or at is None or as_of - at > OLDEST:
        return
    if moved.direction == "steady" and signal.name not in _STEADY_TOO:
        return
    sentence = render_sentence(
        f"change.{moved.direction}",
        language,
        label=look_up_label("signal", signal.name, signal.label, language),
        difference=_format_value(signal, abs(moved.difference)),
        value=_format_value(signal, moved.latest),
        unit=_format_unit(signal, language),
        span=format_span(moved.days, language),
        outside=moved.outside,
    )
    yield Segment(f"{signal.name}.change", "change", sentence, False, moved.sources, 0, _days(as_of, at), moved.z)


def _blood_pressure(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    upper, lower = _latest_value(row, "systolic", as_of), _latest_value(row, "diastolic", as_of)
    if upper is None or lower is None or upper[1] != lower[1]:
        return  # half a pressure says too little, and two halves of different days would be a made-up one
    (systolic, at, sources), (diastolic, _, more) = upper, lower
    bounds = [read_comparator(row, name) for name in _PRESSURES]
    levels = [
        classify_level(name, value, comparator=bound)
        for name, value, bound in zip(_PRESSURES, (systolic, diastolic), bounds, strict=True)
    ]
    word = max(levels, key=lambda w: _LEVEL_ORDER[w])
    moved = _pressure_change(row, as_of)
    shown = "/".join(
        format_bound(bound, f"{value:.0f}", language)
        for bound, value in zip(bounds, (systolic, diastolic), strict=True)
    )
    sentence = render_sentence(
        "latest.blood_pressure",
        language,
        value=shown,
        ago=format_ago(at, as_of, language),
        level=word and render_sentence(f"level.{word}", language),
        preliminary=next(filter(None, (format_preliminary(row, name, language) for name in _PRESSURES)), ""),
    )
    every, days = tuple(dict.fromkeys(sources + more)), _days(as_of, at)
    z = moved[0].z if moved else 0.0
    yield Segment("blood_pressure.latest", "record", sentence, False, every, 0, days, z)
    if moved:
        changed, direction, previous = moved
        sentence = render_sentence(
            f"change.blood_pressure.{direction}",
            language,
            value=shown,
            previous=previous,
            span=format_span(changed.days, language),
            outside=changed.outside,
        )
        yield Segment("blood_pressure.change", "change", sentence, False, every, 0, days, changed.z)


def _pressure_change(row: FeatureRow, as_of: datetime) -> tuple[Change, str, str] | None:
    """The component furthest outside its band, the direction, and the previous pressure; None without a past.

    The direction is ``mixed`` where one component rose and the other fell.
    """
    both = [detect_change(row, s, as_of) for s in SIGNALS if s.name in _PRESSURES]
    if any(c is None for c in both):
        return None
    changes = [c for c in both if c is not None]
    # a component that moved outranks a steady one, so that "steady" means both are
    largest = max(changes, key=lambda c: (c.direction != "steady", abs(c.z)))
    opposed = min(c.difference for c in changes) < 0 < max(c.difference for c in changes)
    direction = "mixed" if opposed and largest.direction != "steady" else largest.direction
    return largest, direction, "/".join(f"{c.previous:.0f}" for c in changes)
