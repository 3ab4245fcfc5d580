"""Whether the features can be trusted tonight: complete, of one definition, fresh, possible, alike in both stores.

Each check is one line with a verdict. Nothing here names a patient or shows a value: counts by group and feature only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import polars as pl

from feature_repo.point_in_time import KEY
from feature_repo.store import expectations, feast_store, online
from feature_repo.store.services import find_groups, hash_schema, list_features
from models.schema import FeatureRow
from pipelines.features.build import historical_rows
from pipelines.features.build.definitions import define_groups
from pipelines.features.engines import feature_files
from pipelines.features.inspect import recompute
from pipelines.features.online import materialise
from pipelines.night_dates import end_of_night
from pipelines.records.log import ledger as records_ledger
from pmlm.errors import FeaturesError
from pmlm.settings import Settings
from pmlm.storage import read_json

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class FeatureCheck:
    """One thing that must hold; ``found`` says what was looked at, or what is wrong where it does not."""

    name: str
    holds: bool
    found: str


def verify(settings: Settings, most_patients: int, max_age_days: float) -> list[FeatureCheck]:
    """All checks. Parity is checked for at most ``most_patients``, spread evenly over all by their pseudonyms.

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
        _check_recomputed(settings, patients),
        *_check_online(settings, patients),
    ]


def _sample_patients(settings: Settings, most: int) -> list[int]:
    """Patients in order of their pseudonyms, which are hashes: every n-th is a sample that knows no order."""
    rows = feature_files.scan_rows(settings.features / next(iter(find_groups())))
    every: list[int] = rows.select("subject_id").unique().collect()["subject_id"].sort().to_list()
    return every[:: max(1, -(-len(every) // most))]


def _check_complete(settings: Settings) -> Iterator[FeatureCheck]:
    batches = {path.name for path in records_ledger.list_batches(settings)}
    behind = {}
    for name in find_groups():
        taken = {batch for origin in feature_files.read_origins(settings.features / name) for batch in origin.events}
        if batches - taken:
            behind[name] = len(batches - taken)
    said = (
        ", ".join(f"{name} lacks {n}" for name, n in behind.items()) or f"{len(batches)} event batches in every group"
    )
    yield FeatureCheck("complete", not behind, said)


def _check_definitions(settings: Settings) -> Iterator[FeatureCheck]:
    """Rows of two versions of a definition, or of the model behind it, never stand in one group."""
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
    said = f"the last drop is {age:.1f} days old" if last else "no drop was ever taken in"
    yield FeatureCheck("fresh records", age <= max_age_days, f"{said} (bound: {max_age_days:g})")
    rows = feature_files.scan_rows(settings.features / "peers")
    oldest = rows.group_by(KEY[0]).agg(pl.col(KEY[1]).max()).select(pl.col(KEY[1]).min()).collect().item()
    # every night with an event batch makes a row for every patient who was known by then
    with_events = [path.name[:8] for path in records_ledger.list_batches(settings)]
    bound: datetime = end_of_night(max(with_events)) if with_events else settings.now()
    said = f"the oldest is of {oldest:%Y-%m-%d}, the last night with events was {bound:%Y-%m-%d}"
    yield FeatureCheck("fresh peers", oldest >= bound, said)


def _check_bounds(settings: Settings) -> Iterator[FeatureCheck]:
    stated, broken, rows_seen = expectations.list_bounds(), Counter[str](), 0
    ahead = Counter[str]()
    for name, module in find_groups().items():
        rows = feature_files.scan_rows(settings.features / name).collect()
        rows_seen += len(rows)
        for field in module.view.features:
            if field.name in stated:
                broken[field.name] += _count_outside(rows[field.name], stated[field.name])
            if field.name.endswith("_time"):
                ahead[field.name] += int((rows[field.name] > rows[KEY[1]]).sum() or 0)
    for title, found in (("possible", broken), ("not ahead of their time", ahead)):
        wrong = {name: n for name, n in found.items() if n}
        said = (
            ", ".join(f"{name}: {n} rows" for name, n in wrong.items()) or f"{len(found)} features of {rows_seen} rows"
        )
        yield FeatureCheck(title, not wrong, said)


def _count_outside(values: pl.Series, expected: expectations.FeatureBounds) -> int:
    """How many rows break what is expected of a column; an array's every element counts."""
    if expected.never_null and values.null_count():
        return values.null_count()
    flat = values.explode() if values.dtype == pl.List else values
    if expected.low is None and expected.high is None:
        return 0
    low, high = expected.low if expected.low is not None else float("-inf"), expected.high
    inside = (flat >= low) & (flat <= (high if high is not None else float("inf")))
    return int((~inside).sum() or 0)


def _check_peers(settings: Settings) -> Iterator[FeatureCheck]:
    counts = feature_files.scan_rows(settings.features / "peers").select("peers_count").collect()["peers_count"]
    few = int(counts.is_between(1, settings.k_anonymity - 1).sum())
    yield FeatureCheck(
        "peers in company", not few, f"{few} of {len(counts)} rows stand for 1 to {settings.k_anonymity - 1}"
    )


def _check_recomputed(settings: Settings, patients: Sequence[int]) -> FeatureCheck:
    """Her newest rows in the files equal what the event log says of the same moment, computed anew."""
    differing = recompute.count_differences(settings, patients)
    said = ", ".join(f"{name}: {n}" for name, n in differing.items()) or f"{len(patients)} patients"
    return FeatureCheck("files equal the event log", not differing, said)


def _check_online(settings: Settings, patients: Sequence[int]) -> Iterator[FeatureCheck]:
    path = settings.feast / materialise.TAKEN
    held = read_json(path) if path.exists() and (settings.feast / feast_store.CONFIG).exists() else {}
    same = held.get("files") == materialise.hash_feature_files(settings) and held.get("schema") == hash_schema()
    said = "every feature file is in it" if same else "it is behind the feature files: run `pmlm features materialise`"
    yield FeatureCheck("online store is up to date", same, said)
    try:
        differing = _count_unequal(settings, patients)
    except online.StoreDownError as error:
        yield FeatureCheck("online equals offline", False, str(error))
        return
    said = ", ".join(f"{name}: {n}" for name, n in differing.most_common(8)) or f"{len(patients)} patients"
    yield FeatureCheck("online equals offline", not differing, said)


def _count_unequal(settings: Settings, patients: Sequence[int]) -> Counter[str]:
    """Features whose online value is not the offline one as of now, in value and type, with the number of patients."""
    now = pd.Timestamp(settings.now())
    asked = pd.DataFrame({KEY[0]: list(patients), KEY[1]: [now] * len(patients)})
    differing: Counter[str] = Counter()
    for row in historical_rows.read_rows(settings, asked).to_dict("records"):
        served: FeatureRow = online.read(settings.feast, row[KEY[0]]) or {}
        for name in list_features():
            there = (type(served.get(name)), served.get(name))
            differing[name] += there != (type(row[name]), row[name])
    return +differing
