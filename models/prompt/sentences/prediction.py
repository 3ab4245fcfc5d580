"""A sentence on what the trajectory model forecasts for the next visit.

    shown: c of the row's forecasts that has words in both languages and is no current condition, at most MAX_FORECASTS

The row's forecasts are calibrated, likely and above the clinic's usual rate already (``models.patient.forecaster``).
Chances are rounded to 5 %; a forecast older than a year is not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import datetime, timedelta

from models.feature_row import read_number, read_text, read_texts, read_time
from models.patient.currency import DEFAULT_RULE, CurrencyRule, list_conditions
from models.schema import FeatureRow, Segment
from models.templates import look_up_label, render_sentence
from models.vocabulary import SIGNALS, find_concept

MAX_FORECASTS = 2
OLDEST = timedelta(days=365)
_VISITS = {"encounter.missed": "missed", "encounter.emergency": "emergency"}
_LABELS = {signal.name: signal.label for signal in SIGNALS}


def build_prediction_segments(
    row: FeatureRow, as_of: datetime, language: str, rule: CurrencyRule = DEFAULT_RULE
) -> Iterator[Segment]:
    """``prediction.next_visit`` where the model has something to say; its sources end with the model's version."""
    at, version = read_time(row, "trajectory_time"), read_text(row, "model_version")
    if at is None or version is None or not timedelta(0) <= as_of - at <= OLDEST:
        return
    chances = [float(c) for c in read_texts(row, "next_visit_chances")]
    present = {find_concept(entry.code) for entry in list_conditions(row, as_of, rule) if not entry.reason}
    items = []
    for event, chance in zip(read_texts(row, "next_visit_events"), chances, strict=False):
        words = _words(event, present, language)
        if words:
            items.append(render_sentence("prediction.item", language, words=words, chance=round(20 * chance) * 5))
    if not items:
        return
    sentence = render_sentence("prediction.next_visit", language, items=items[:MAX_FORECASTS])
    sources = (*read_texts(row, "trajectory_sources"), f"model:{version}")
    days = (as_of - at).total_seconds() / 86400
    surprise = read_number(row, "visit_surprise") or 0.0
    yield Segment("prediction.next_visit", "prediction", sentence, False, sources, 0, days, surprise=surprise)


def _words(event: str, present: Set[object], language: str) -> str:
    """Name what is forecast, where it has words and is not on record already."""
    kind, _, code = event.partition("|")
    if kind in _VISITS:
        return render_sentence(f"prediction.{_VISITS[kind]}", language)
    name, _, level = code.rpartition(":")
    if kind == "observation" and name in _LABELS and level in ("low", "high"):
        return render_sentence(
            f"prediction.{level}", language, label=look_up_label("signal", name, _LABELS[name], language)
        )
    concept = find_concept(code) if kind == "condition" else None
    if concept is not None and concept not in present:
        return render_sentence(
            "prediction.condition", language, label=look_up_label("concept", concept.name, concept.label, language)
        )
    return ""
