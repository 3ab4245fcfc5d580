"""One patient's features as a person reads them: value, unit, age of the value in days, source line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from feature_repo import online
from feature_repo.rows import typed
from feature_repo.services import views
from models.schema import FeatureRow
from pipelines.errors import UnknownPatientError
from pipelines.features import offline
from pipelines.settings import Settings


@dataclass(frozen=True, slots=True)
class Shown:
    """One feature; ``age_days`` is None and ``sources`` empty where it has no time or source of its own."""

    group: str
    name: str
    value: Any
    unit: str
    age_days: float | None
    sources: tuple[str, ...]


def row(settings: Settings, patient: str, as_of: datetime | None) -> FeatureRow:
    """Her row as of ``as_of`` (offline) or now (online); UnknownPatientError where nothing is known of her then."""
    subject_id = settings.subject_id(patient)
    if as_of is None:
        found = online.read(settings.feast, subject_id)
    else:
        asked = pd.DataFrame({"subject_id": [subject_id], "event_timestamp": [pd.Timestamp(as_of)]})
        found = typed(offline.rows(settings, asked).iloc[0].to_dict())
    if found is None or found["as_of"] is None:
        raise UnknownPatientError(f"no features of patient {patient!r}" + (f" as of {as_of}" if as_of else ""))
    return found


def describe(values: FeatureRow, as_of: datetime) -> list[Shown]:
    """Every known feature of a row, by group, times and sources beside the values they belong to."""
    shown = []
    for view in views():
        for field in view.features:
            stem = field.name.removesuffix("_latest")
            value = values[field.name]
            if value is None or value == [] or field.name.endswith(("_time", "_source", "_sources")):
                continue
            time = values.get(f"{stem}_time")
            source = values.get(f"{stem}_source")
            age = None if time is None else round((as_of - time).total_seconds() / 86_400, 1)
            unit = field.tags.get("unit", "")
            shown.append(Shown(view.name, field.name, value, unit, age, (source,) if source else ()))
    return shown
