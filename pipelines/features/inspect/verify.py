"""Verify the features: complete, of one definition, fresh, possible, equal in both stores.

Each check is one line with a verdict. None names a patient or shows a value: only counts by group and feature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import polars as pl

from feature_repo.point_in_time import KEY
from feature_repo.store import expectations, feast_store, online, online_stores, reach
from feature_repo.store.services import find_groups, hash_schema, list_features
from models.schema import FeatureRow
from pipelines.features.build import historical_rows
from pipelines.features.build.definitions import define_groups
from pipelines.features.engines import feature_files
from pipelines.features.inspect import recompute
from pipelines.features.online import materialise
from pipelines.night_dates import end_of_night
from pipelines.records.log import event_log
from pipelines.records.log import ledger as records_ledger
from pmlm.errors import FeaturesError
from pmlm.settings import Settings
from pmlm.storage import read_json

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class FeatureCheck:
    """The result of a check; ``found`` says what was checked, or what is wrong."""

    name: str
    holds: bool
    found: str


def verify(settings: Settings, most_patients: int, max_age_days: float) -> list[FeatureCheck]:
    """Run all checks; the stores are compared for at most ``most_patients``.

    Raises ``FeaturesError`` before the first build.
    """
    if not any(settings.features.glob("*/*.parquet")):
        raise FeaturesError("no features yet: run `pmlm features build`")
    patients = _sample_patients(settings, most_patients)
    return [
        *_check_complete(settings),
        *_check_definitions(settings),
        *_check_fresh(settings, max_age_days),
        *_check_bounds(settings),
        *_check_peers(settings),
        _check_days(settings, patients),
        _check_recomputed(settings, patients),
        *_check_online(settings, patients),
    ]


def _sample_patients(settings: Settings, most: int) -> list[int]:
    """Sample every n-th patient by pseudonym: these are hashes, in no meaningful order."""
    rows = feature_files.scan_rows(settings.features / next(iter(find_groups())))
    every: list[int] = rows.select("subject_id").unique().collect()["subject_id"].sort().to_list()
    return every[:: max(1, -(-len(every) // most))]


def _check_complete(settings: Settings) -> Iterator[FeatureCheck]:
    """Check that every group has taken in every event batch, and that the log still has each of them."""
    listed = records_ledger.list_batches(settings)
    present = [path for path in listed if path.exists()]
    known = {path.name: night for path, night in event_log.find_known_nights(present).items()}
    wrong = [f"the log has lost {len(listed) - len(present)} of its batches"] if len(present) < len(listed) else []
    for name in find_groups():
        origins = feature_files.read_origins(settings.features / name)
        missing = sorted(set(known) - feature_files.find_taken_in(origins, known))
        if missing:
            nights = ", ".join(sorted({known[batch] for batch in missing}))
            wrong.append(f"{name} lacks {len(missing)}, known by {nights}")
        unknown = {batch for origin in origins for batch in origin.events} - {path.name for path in listed}
        if unknown:
            wrong.append(f"{name} has {len(unknown)} that the log has not")
    yield FeatureCheck("complete", not wrong, "; ".join(wrong) or f"{len(known)} event batches in every group")


def _check_days(settings: Settings, patients: Sequence[int]) -> FeatureCheck:
    """Check that every day on which a patient's record changed has a row in every group."""
    missing = recompute.count_missing_days(settings, patients)
    found = ", ".join(f"{name}: {n}" for name, n in missing.items()) or f"{len(patients)} patients"
    return FeatureCheck("every changed day has its row", not missing, found)


def _check_definitions(settings: Settings) -> Iterator[FeatureCheck]:
    """Check that all of a group's rows are of one definition, and of one model."""
    odd = []
    for name, definition in define_groups(settings).items():
        made_by = {origin.definition for origin in feature_files.read_origins(settings.features / name)}
        if made_by != {definition}:
            odd.append(f"{name}: {len(made_by)} versions, {'one' if definition in made_by else 'none'} of them today's")
    yield FeatureCheck("one version", not odd, "; ".join(odd) or "every file is of today's definitions")


def _check_fresh(settings: Settings, max_age_days: float) -> Iterator[FeatureCheck]:
    nights = [entry.night for entry in records_ledger.read_entries(settings)]
    last = end_of_night(nights[-1]) if nights else None
    age = (settings.now() - last).total_seconds() / DAY_S if last else float("inf")
    found = f"the last drop is {age:.1f} days old" if last else "no drop was ever taken in"
    yield FeatureCheck("fresh records", age <= max_age_days, f"{found} (bound: {max_age_days:g})")
    rows = feature_files.scan_rows(settings.features / "peers")
    oldest = rows.group_by(KEY[0]).agg(pl.col(KEY[1]).max()).select(pl.col(KEY[1]).min()).collect().item()
    # every night with an event batch makes a row for every patient who was known by then
    with_events = [path.name[:8] for path in records_ledger.list_batches(settings)]
    bound: datetime = end_of_night(max(with_events)) if with_events else settings.now()
    found = f"the oldest is of {oldest:%Y-%m-%d}, the last night with events was {bound:%Y-%m-%d}"
    yield FeatureCheck("fresh peers", oldest >= bound, found)


def _check_bounds(settings: Settings) -> Iterator[FeatureCheck]:
    bounds, rows_seen = expectations.list_bounds(), 0
    broken, ahead = Counter[str](), Counter[str]()
    for name, module in find_groups().items():
        rows = feature_files.scan_rows(settings.features / name).collect()
        rows_seen += len(rows)
        for field in module.view.features:
            if field.name in bounds:
                broken[field.name] += _count_outside(rows[field.name], bounds[field.name])
            if field.name.endswith("_time"):
                ahead[field.name] += int((rows[field.name] > rows[KEY[1]]).sum() or 0)
    for title, found in (("possible", broken), ("not ahead of their time", ahead)):
        wrong = ", ".join(f"{name}: {n} rows" for name, n in found.items() if n)
        yield FeatureCheck(title, not wrong, wrong or f"{len(found)} features of {rows_seen} rows")


def _count_outside(values: pl.Series, bounds: expectations.FeatureBounds) -> int:
    """Count the values outside the bounds; every element of an array counts."""
    if bounds.never_null and values.null_count():
        return values.null_count()
    flat = values.explode() if values.dtype == pl.List else values
    if bounds.low is None and bounds.high is None:
        return 0
    low, high = bounds.low if bounds.low is not None else float("-inf"), bounds.high
    inside = (flat >= low) & (flat <= (high if high is not None else float("inf")))
    return int((~inside).sum() or 0)


def _check_peers(settings: Settings) -> Iterator[FeatureCheck]:
    counts = feature_files.scan_rows(settings.features / "peers").select("peers_count").collect()["peers_count"]
    few = int(counts.is_between(1, settings.k_anonymity - 1).sum())
    yield FeatureCheck(
        "peers in company", not few, f"{few} of {len(counts)} rows stand for 1 to {settings.k_anonymity - 1}"
    )


def _check_recomputed(settings: Settings, patients: Sequence[int]) -> FeatureCheck:
    """Check that the files' newest rows equal those computed from the event log."""
    differing = recompute.count_differences(settings, patients)
    found = ", ".join(f"{name}: {n}" for name, n in differing.items()) or f"{len(patients)} patients"
    return FeatureCheck("files equal the event log", not differing, found)


def _check_online(settings: Settings, patients: Sequence[int]) -> Iterator[FeatureCheck]:
    where = online_stores.redact_setting(settings.online_store)
    try:
        reach.reach_server(settings.online_store)
    except (ValueError, online.StoreDownError) as error:
        yield FeatureCheck("configured store answers", False, f"{where}: {error}")
        return
    yield FeatureCheck("configured store answers", True, where)
    configured = feast_store.read_online_config(settings.feast) == materialise.read_store_config(settings)
    path = settings.feast / materialise.TAKEN
    state = read_json(path) if path.exists() and configured else {}
    same = state.get("files") == materialise.hash_feature_files(settings) and state.get("schema") == hash_schema()
    behind = "behind the feature files" if configured else "not what the endpoint reads yet"
    found = "every feature file is in it" if same else f"it is {behind}: run `pmlm features materialise`"
    yield FeatureCheck("online store is up to date", same, found)
    try:
        differing = _count_unequal(settings, patients)
    except online.StoreDownError as error:
        yield FeatureCheck("online equals offline", False, str(error))
        return
    found = ", ".join(f"{name}: {n}" for name, n in differing.most_common(8)) or f"{len(patients)} patients"
    yield FeatureCheck("online equals offline", not differing, found)


def _count_unequal(settings: Settings, patients: Sequence[int]) -> Counter[str]:
    """Count, per feature, the patients whose online and offline values (or types) differ."""
    now = pd.Timestamp(settings.now())
    asked = pd.DataFrame({KEY[0]: list(patients), KEY[1]: [now] * len(patients)})
    differing: Counter[str] = Counter()
    for row in historical_rows.read_rows(settings, asked).to_dict("records"):
        served: FeatureRow = online.read(settings.feast, row[KEY[0]]) or {}
        for name in list_features():
            there = (type(served.get(name)), served.get(name))
            differing[name] += there != (type(row[name]), row[name])
    return +differing
