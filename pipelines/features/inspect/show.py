"""Show one patient's features: value, unit, age of the value in days, source events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
import polars as pl

from feature_repo.point_in_time import KEY
from feature_repo.store import online
from feature_repo.store.rows import cast_row
from feature_repo.store.services import find_groups, list_views
from models.peers.aggregates import round_count
from models.schema import DELETED, FeatureRow
from pipelines.features.build import historical_rows
from pipelines.features.engines import feature_files
from pipelines.records.log import event_log
from pmlm.errors import FeaturesError, UnknownPatientError
from pmlm.settings import Settings

#: Endings of features that share a stem, and with it a time and a source: ``weight_latest`` and ``weight_time``.
PARTS = ("_latest", "_since", "_codes", "_texts", "_kinds")
COMPANIONS = ("_time", "_times", "_source", "_sources")


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """One feature; ``age_days`` (of a list's newest value) may be None, ``sources`` empty."""

    group: str
    name: str
    value: Any
    unit: str
    age_days: float | None
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """An event behind a feature, by the hash of its source line."""

    source: str
    code: str
    time: datetime | None
    known_at: datetime


def read_row(settings: Settings, patient: str, as_of: datetime | None) -> FeatureRow:
    """Read a patient's row as of ``as_of`` (offline) or now (online).

    ``UnknownPatientError`` if nothing is known of the patient then, ``FeaturesError`` if the online store does not
    answer.
    """
    subject_id = settings.subject_id(patient)
    if as_of is None:
        found = _read_online(settings, subject_id)
    else:
        asked = pd.DataFrame({"subject_id": [subject_id], "event_timestamp": [pd.Timestamp(as_of)]})
        found = cast_row(historical_rows.read_rows(settings, asked).iloc[0].to_dict())
    if found is None or found["as_of"] is None:
        raise UnknownPatientError(f"no features of patient {patient!r}" + (f" as of {as_of}" if as_of else ""))
    return found


def _read_online(settings: Settings, subject_id: int) -> FeatureRow | None:
    try:
        return online.read(settings.feast, subject_id)
    except online.StoreDownError as error:
        raise FeaturesError(f"{error}; `--as-of` reads from the feature files instead") from error


def find_group_moments(settings: Settings, patient: str, as_of: datetime) -> dict[str, datetime]:
    """Find, per group, the as-of time of the patient's newest row by then."""
    subject_id, found = settings.subject_id(patient), {}
    for name in find_groups():
        rows = feature_files.scan_rows(settings.features / name).filter(
            pl.col(KEY[0]) == subject_id, pl.col(KEY[1]) <= as_of
        )
        found[name] = rows.select(pl.col(KEY[1]).max()).collect().item()
    return {name: moment for name, moment in found.items() if moment is not None}


def find_source_events(
    settings: Settings, patient: str, sources: Iterable[str], as_of: datetime
) -> list[FeatureSource]:
    """Find the patient's events of these source lines known by then, oldest first."""
    columns = ("source", "code", "time", "known_at")
    found = event_log.scan_events(settings).filter(
        pl.col("subject_id") == settings.subject_id(patient),
        pl.col("source").is_in(sorted(set(sources))),
        pl.col("known_at") <= as_of,
        pl.col("code") != DELETED,
    )
    return [
        FeatureSource(*values) for values in found.select(columns).sort("known_at", "time", "code").collect().rows()
    ]


def describe_row(values: FeatureRow, as_of: datetime, k: int) -> list[FeatureValue]:
    """Describe every known feature of a row, by group, with its time and sources.

    The number of peers is rounded as everywhere.
    """
    found = []
    values = {**values, "peers_count": round_count(values["peers_count"] or 0, k)}
    for view in list_views():
        names = {field.name for field in view.features}
        stems = {name: next((name.removesuffix(p) for p in PARTS if name.endswith(p)), name) for name in names}
        companions = {f"{stem}{end}" for stem in stems.values() for end in COMPANIONS}
        companions |= {f"{name}_time" for name in names}
        for field in view.features:
            value, stem, unit = values[field.name], stems[field.name], field.tags.get("unit", "")
            if value is None or value == [] or field.name in companions:
                continue
            own = f"{field.name}_time" if f"{field.name}_time" in names else f"{stem}_time"
            times = _collect_values(values, own, f"{stem}_times") or [v for v in _as_list(value) if _is_time(v)]
            sources = tuple(_collect_values(values, f"{stem}_source", f"{stem}_sources"))
            found.append(FeatureValue(view.name, field.name, value, unit, _age(times, as_of), sources))
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime)


def _collect_values(values: FeatureRow, *names: str) -> list[Any]:
    return [v for name in names for v in _as_list(values.get(name)) if v is not None]


def _age(times: list[datetime], as_of: datetime) -> float | None:
    past = [time for time in times if time <= as_of]  # an expected delivery has no age
    return round((as_of - max(past)).total_seconds() / 86_400, 1) if past else None
