"""Compare two nights feature by feature over all patients, never for one patient."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from feature_repo.point_in_time import KEY
from feature_repo.store.services import find_groups
from pipelines.features.engines import feature_files
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger as records_ledger
from pmlm.errors import UnknownNightError
from pmlm.settings import Settings


@dataclass(frozen=True, slots=True)
class FeatureDifference:
    """One feature of the patients of both nights.

    How many values changed, became known, are no longer known; the means if at least k values changed and are known
    (two means between which one patient changed would reveal the value).
    """

    group: str
    name: str
    patients: int
    changed: int
    became_known: int
    no_longer_known: int
    mean_before: float | None
    mean_after: float | None


@dataclass(frozen=True, slots=True)
class NightComparison:
    """Two nights' numbers of patients, and the features that changed, most changed first."""

    before: str
    after: str
    patients_before: int
    patients_after: int
    features: list[FeatureDifference]


def compare_nights(settings: Settings, before: str, after: str) -> NightComparison:
    """Compare the rows as of the ends of two nights ``YYYYMMDD``; ``UnknownNightError`` for other nights."""
    known = {entry.night for entry in records_ledger.read_entries(settings)}
    for night in (before, after):
        if night not in known:
            raise UnknownNightError(f"no drop of {night} was taken in; there are {', '.join(sorted(known)) or 'none'}")
    patients_before = patients_after = 0
    found = []
    for name, module in find_groups().items():
        earlier, later = _read_rows(settings, name, before), _read_rows(settings, name, after)
        patients_before, patients_after = max(patients_before, earlier.height), max(patients_after, later.height)
        both = earlier.join(later, on=KEY[0], suffix=" after")
        for field in module.view.features:
            difference = _compare_feature(both, name, field.name, settings.k_anonymity)
            if difference.changed:
                found.append(difference)
    in_order = sorted(found, key=lambda d: (-d.changed, d.group, d.name))
    return NightComparison(before, after, patients_before, patients_after, in_order)


def _read_rows(settings: Settings, group: str, night: str) -> pl.DataFrame:
    """Read each patient's row as of the end of a night."""
    rows = feature_files.scan_rows(settings.features / group).filter(pl.col(KEY[1]) <= end_of_night(night))
    return rows.sort(*KEY).unique(KEY[0], keep="last", maintain_order=True).collect()


def _compare_feature(both: pl.DataFrame, group: str, name: str, k: int) -> FeatureDifference:
    was, now = both[name], both[f"{name} after"]
    changed = int((~was.eq_missing(now)).sum())
    known, gone = int((was.is_null() & now.is_not_null()).sum()), int((was.is_not_null() & now.is_null()).sum())
    before, after = (_mean(values, k) if changed >= k else None for values in (was, now))
    return FeatureDifference(group, name, both.height, changed, known, gone, before, after)


def _mean(values: pl.Series, k: int) -> float | None:
    """Return the mean of a number that at least ``k`` patients have."""
    if not values.dtype.is_numeric() or values.count() < k:
        return None
    return round(float(values.cast(pl.Float64).mean() or 0.0), 3)  # type: ignore[arg-type]
