"""List drift by family, and how fresh and how complete the features are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from pipelines.monitoring.families.drift_table import MISSING
from pipelines.monitoring.operations.summaries import NightRead
from pipelines.monitoring.window import window_folder
from pipelines.night_dates import parse_night
from pmlm.operations_types import DriftLine, FeatureGroupLine, NullRateLine
from pmlm.settings import Settings
from pmlm.storage import read_json

MOST_FEATURES = 20


def list_drift(settings: Settings, nights: Sequence[NightRead]) -> Iterator[DriftLine]:
    """The verdicts of each night that was judged."""
    for one in nights:
        if verdicts := one.find_figures("drift"):
            report = _read_report(settings, one.night)
            yield DriftLine(
                night=one.night,
                verdicts=verdicts,
                drifted={family: len(found["drifted"]) for family, found in report.items()},
                command=f"pmlm drift --night {one.night}",
            )


def list_feature_groups(nights: Sequence[NightRead]) -> Iterator[FeatureGroupLine]:
    """Each feature group with the newest night that wrote rows of it."""
    newest = {group: one.night for one in nights for group, rows in one.find_figures("features").items() if rows}
    for group, night in sorted(newest.items()):
        age = (parse_night(nights[-1].night) - parse_night(night)).days
        yield FeatureGroupLine(group=group, night=night, age_days=age, command="pmlm features verify")


def list_null_rates(settings: Settings, nights: Sequence[NightRead], k: int) -> Iterator[NullRateLine]:
    """The features that lack a value most often, as the last judged night counted its window; none below k rows."""
    for one in reversed(nights):
        path = window_folder(settings, one.night) / "reference.parquet"
        if path.exists():
            counted = pl.read_parquet(path).filter(pl.col("column").str.starts_with(MISSING))
            without = pl.when(pl.col("word") == "yes").then(pl.col("count")).otherwise(0).sum().alias("without")
            sums = counted.group_by("column").agg(pl.col("count").sum().alias("n"), without)
            small = [
                part.is_between(1, k - 1) for part in (pl.col("n"), pl.col("without"), pl.col("n") - pl.col("without"))
            ]
            rates = sums.filter(~pl.any_horizontal(small)).with_columns(
                (pl.col("without") / pl.col("n")).alias("share")
            )
            shown = rates.sort("share", "column", descending=[True, False]).head(MOST_FEATURES)
            for line in shown.iter_rows(named=True):
                feature = str(line["column"]).removeprefix(MISSING)
                yield NullRateLine(feature=feature, share=round(line["share"], 4), command="pmlm features catalogue")
            return


def _read_report(settings: Settings, night: str) -> dict[str, Any]:
    path = settings.reports / "drift" / f"{night}.json"
    try:
        found: dict[str, Any] = read_json(path)
    except (OSError, ValueError):
        return {}
    return found
