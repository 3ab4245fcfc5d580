"""The window before a night, summarised: how often each value occurred.

``monitoring/<night>/reference.parquet`` counts every value of every column of the window's tables, and
``nightly_means.parquet`` has each night's mean per number. Both come from the summaries of the night before: what that
night added, less what has left the window, so a night reads two nights' tables and not the window's thirty.
``reference.json``, written last, names the tables that went in; where one has changed since, all are read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.monitoring.families.drift_table import DriftTable, SealedTable, read_table
from pipelines.monitoring.window import refresh_table, table_path, window_folder
from pmlm.settings import Settings
from pmlm.storage import atomic_write, read_json, write_json

COUNTS = "reference.parquet"
MEANS = "nightly_means.parquet"
RECORD = "reference.json"
KEY = ("table", "column", "number", "word")
COUNT_SCHEMA = pl.Schema(
    {"table": pl.String, "column": pl.String, "number": pl.Float64, "word": pl.String, "count": pl.Int64}
)
MEAN_SCHEMA = pl.Schema(
    {"table": pl.String, "column": pl.String, "night": pl.String, "n": pl.Int64, "mean": pl.Float64}
)
ROWS = (
    ""  # the column that counts a table's sampling units; with a column's name as its word, patients who have a value
)


@dataclass(frozen=True, slots=True)
class Reference:
    """The window before a night: counts of values, and each night's means."""

    counts: pl.DataFrame
    means: pl.DataFrame

    def restore_table(self, table: str) -> SealedTable:
        """A table with the window's values, each column sorted by itself and padded with nulls.

        A patient of two nights counts twice: by what one night differs from others, they are two.
        """
        counts = self.counts.filter(pl.col("table") == table)
        units = counts.filter(pl.col("column") == ROWS)
        height = int(units.filter(pl.col("word").is_null())["count"].sum())
        patients = {str(word): int(n) for word, n in units.select("word", "count").drop_nulls("word").iter_rows()}
        columns = []
        for (name,), group in counts.filter(pl.col("column") != ROWS).group_by("column", maintain_order=True):
            values = group["word"] if group["number"].is_null().all() else group["number"]
            repeated = values.gather(np.repeat(np.arange(len(group)), group["count"].to_numpy()))
            padding = pl.repeat(None, height - len(repeated), dtype=values.dtype, eager=True)
            columns.append(repeated.alias(str(name)).extend(padding))
        return SealedTable(pl.DataFrame(columns), patients)


def load_reference(settings: Settings, nights: Sequence[str], tables: Sequence[DriftTable], window: int) -> Reference:
    """Load the summary of ``nights``, by their last night's own where it is there."""
    for night in nights:
        for table in tables:
            refresh_table(settings, night, table, window)
    if not nights:
        return Reference(COUNT_SCHEMA.to_frame(), MEAN_SCHEMA.to_frame())
    last = nights[-1]
    folder = window_folder(settings, last)
    before = read_json(folder / RECORD)["tables"] if (folder / RECORD).exists() else {}
    left = [night for night in before if night not in nights]
    unchanged = all(stamps == _stamp(settings, night, tables) for night, stamps in before.items())
    if not before or not unchanged or not set(nights) <= {*before, last}:
        return _sum_nights(settings, nights, tables)
    added, removed = _sum_nights(settings, [last], tables), _sum_nights(settings, left, tables)
    counts = _add_counts(
        [pl.read_parquet(folder / COUNTS), added.counts, removed.counts.with_columns(-pl.col("count"))]
    )
    means = pl.concat([pl.read_parquet(folder / MEANS).filter(pl.col("night").is_in(nights)), added.means])
    return Reference(counts, means.sort("table", "column", "night"))


def save_reference(
    settings: Settings, night: str, nights: Sequence[str], tables: Sequence[DriftTable], found: Reference
) -> None:
    """Store the summary of ``nights`` beside the tables of ``night``."""
    folder = window_folder(settings, night)
    (folder / RECORD).unlink(missing_ok=True)
    for name, frame in ((COUNTS, found.counts), (MEANS, found.means)):
        with atomic_write(folder / name) as temporary:
            frame.write_parquet(temporary)
    write_json(folder / RECORD, {"tables": {n: _stamp(settings, n, tables) for n in nights}})


def summarise_table(name: str, night: str, table: SealedTable) -> Reference:
    """Summarise one sealed table of one night."""
    frame = table.frame
    units: list[tuple[str, str, None, str | None, int]] = [(name, ROWS, None, None, frame.height)]
    units += [(name, ROWS, None, column, table.count_patients(column)) for column in frame.columns]
    counts = [pl.DataFrame(units, schema=COUNT_SCHEMA, orient="row")]
    means = []
    for column in frame.columns:
        values = frame[column].drop_nulls()
        if values.is_empty():
            continue
        number = values.dtype.is_numeric()
        counted = values.value_counts(name="count").select(
            pl.lit(name).alias("table"),
            pl.lit(column).alias("column"),
            (pl.col(column) if number else pl.lit(None)).cast(pl.Float64).alias("number"),
            (pl.lit(None) if number else pl.col(column)).cast(pl.String).alias("word"),
            pl.col("count").cast(pl.Int64),
        )
        counts.append(counted)
        if number:
            means.append((name, column, night, len(values), float(values.mean())))  # type: ignore[arg-type]
    return Reference(_add_counts(counts), pl.DataFrame(means, schema=MEAN_SCHEMA, orient="row"))


def add_references(parts: Iterable[Reference]) -> Reference:
    """Sum summaries of different nights or tables."""
    found = list(parts)
    counts = _add_counts([COUNT_SCHEMA.to_frame(), *(part.counts for part in found)])
    means = pl.concat([MEAN_SCHEMA.to_frame(), *(part.means for part in found)])
    return Reference(counts, means.sort("table", "column", "night"))


def _sum_nights(settings: Settings, nights: Sequence[str], tables: Sequence[DriftTable]) -> Reference:
    return add_references(
        summarise_table(table.name, night, read_table(table_path(settings, night, table)))
        for night in nights
        for table in tables
    )


def _stamp(settings: Settings, night: str, tables: Sequence[DriftTable]) -> dict[str, int | None]:
    """When each sealed table of a night was written."""
    paths = {table.name: table_path(settings, night, table) for table in tables}
    return {name: path.stat().st_mtime_ns if path.exists() else None for name, path in paths.items()}


def _add_counts(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    summed = pl.concat(parts).group_by(KEY).agg(pl.col("count").sum())
    return summed.filter(pl.col("count") != 0).sort(KEY, nulls_last=True)
