"""Sentences on age, smoking, visits attended and missed, past pregnancies, preferences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from models.feature_row import has_record, read_number, read_text, read_time, read_times
from models.patient.preferences import estimate_preference
from models.schema import FeatureRow, Segment
from models.templates import format_ago, render_sentence, sanitize_record_text

RECENT = timedelta(days=90)
YEAR = timedelta(days=365)
#: An age above 89 is an identifier of its own.
OLDEST_AGE = 90


def build_behaviour_segments(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    """``age``, ``smoking``, ``visits.*``, ``history.*``, ``preference.length``, and ``record.missing`` where that is
    the news."""
    yield from _missing(row, as_of, language)
    yield from _age(row, as_of, language)
    yield from _smoking(row, as_of, language)
    yield from _visits(row, as_of, language)
    yield from _history(row, language)
    yield from _preference(row, language)


def compute_age(birth: datetime, as_of: datetime) -> int:
    """Completed years of age."""
    return as_of.year - birth.year - ((as_of.month, as_of.day) < (birth.month, birth.day))


def _missing(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    if not has_record(row):
        yield Segment("record.missing", "record", render_sentence("missing.record", language), False, ("record:none",))
    elif len(_past(row, "visit_times", as_of)) <= 1:
        yield Segment(
            "record.missing", "record", render_sentence("missing.history", language), False, ("record:visits",)
        )


def _age(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    birth = read_time(row, "birth")
    if birth is None or birth > as_of:
        return
    years = compute_age(birth, as_of)
    sentence = (
        render_sentence("age_oldest", language)
        if years >= OLDEST_AGE
        else render_sentence("age", language, years=years)
    )
    yield Segment("age", "record", sentence, False, ("record:birth",))


def _smoking(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    status = sanitize_record_text(read_text(row, "smoking") or "")
    if not status:
        return
    lowered = status.lower()
    if "never" in lowered or "non-smoker" in lowered:
        sentence = render_sentence("smoking.never", language)
    elif "ex-smoker" in lowered or "former" in lowered:
        sentence = render_sentence("smoking.former", language)
    elif "smokes" in lowered or "smoker" in lowered:
        sentence = render_sentence("smoking.current", language)
    else:
        sentence = render_sentence("smoking.other", language, name=status)
    at, source = read_time(row, "smoking_time"), read_text(row, "smoking_source")
    days = None if at is None else max(0.0, (as_of - at).total_seconds() / 86400)
    yield Segment("smoking", "record", sentence, False, (source or "record:smoking",), 0, days)


def _past(row: FeatureRow, name: str, as_of: datetime) -> list[datetime]:
    """Times of the array up to ``as_of``, newest first."""
    return sorted((t for t in read_times(row, name) if t is not None and t <= as_of), reverse=True)


def _visits(row: FeatureRow, as_of: datetime, language: str) -> Iterator[Segment]:
    visits = _past(row, "visit_times", as_of)
    if not visits:
        return
    recent = [t for t in visits if as_of - t <= RECENT]
    sentence = render_sentence(
        "visits.recent" if recent else "visits.quiet",
        language,
        n=len(recent),
        ago=format_ago(visits[0], as_of, language),
    )
    counted = _visit_segment("visits.recent", sentence, len(recent), visits[0], as_of)
    yield replace(counted, surprise=read_number(row, "visit_surprise") or 0.0)
    for kind, name in (("missed", "missed_visit_times"), ("emergency", "emergency_visit_times")):
        times = [t for t in _past(row, name, as_of) if as_of - t <= YEAR]
        if times:
            sentence = render_sentence(
                f"visits.{kind}", language, n=len(times), ago=format_ago(times[0], as_of, language)
            )
            yield _visit_segment(f"visits.{kind}", sentence, len(times), times[0], as_of)
        else:
            sentence = render_sentence(f"visits.none_{kind}", language)
            yield Segment(f"visits.{kind}", "behaviour", sentence, False, ("visits:n=0",))


def _visit_segment(key: str, sentence: str, n: int, newest: datetime, as_of: datetime) -> Segment:
    days = (as_of - newest).total_seconds() / 86400
    return Segment(key, "behaviour", sentence, False, (f"visits:n={n}",), 0, days)


def _history(row: FeatureRow, language: str) -> Iterator[Segment]:
    for name in ("pregnancies", "miscarriages"):
        n = int(read_number(row, name) or 0)
        if n > 0:
            yield Segment(
                f"history.{name}",
                "record",
                render_sentence(f"history.{name}", language, n=n),
                False,
                ("record:pregnancies",),
            )


def _preference(row: FeatureRow, language: str) -> Iterator[Segment]:
    wanted = estimate_preference(row)
    if wanted.length is None:
        return
    key = f"preference.{wanted.length}_peers" if wanted.from_peers else f"preference.{wanted.length}"
    ratings = wanted.brief.ratings + wanted.detailed.ratings
    source = f"peers:n={int(read_number(row, 'peers_count') or 0)}" if wanted.from_peers else f"ratings:n={ratings}"
    yield Segment("preference.length", "preference", render_sentence(key, language), False, (source,))
