"""Compare a resource's version with those that other drops stated.

    a is later than b   iff a.lastUpdated > b.lastUpdated, else iff a.versionId > b.versionId

Each drop leaves a file of the versions that it stated, by resource, and of every allergy. What decides is looked up in
the files of the drops in the ledger, so that no order of drops changes what is believed in the end.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from pipelines.night_dates import end_of_day, parse_night
from pipelines.records.log.spill import HashSet, write_rows
from pipelines.records.read.fhir_time import to_micros
from pmlm.settings import Settings
from pmlm.storage import atomic_write

#: ``content`` is the start of the content's hash; ``updated`` and ``version`` are 0 where they are not stated.
_SCHEMA: dict[str, Any] = {
    "resource": pl.Int64,
    "content": pl.Int64,
    "updated": pl.Int64,
    "version": pl.Int64,
    "allergy": pl.Boolean,
}
_PLACE = "versions"  # in the spill folder
_HASH_DIGITS = 15  # hex digits of a content's hash that fit a signed integer
NEWER, OLDER = 1, -1


def spill_versions(place: Path, touched: pl.DataFrame) -> None:
    """Spill the versions to remember of ``touched`` rows: those that say which they are, and every allergy."""
    stated = touched.filter((pl.col("updated") > 0) | (pl.col("version") > 0) | pl.col("allergy"))
    hashed = pl.col("source").str.slice(0, _HASH_DIGITS).str.to_integer(base=16, dtype=pl.Int64)
    # the drop's own version last: it counts before one that waited in quarantine
    ordered = stated.sort(pl.when(pl.col("since") == 0).then(pl.lit(2**62)).otherwise("since"), maintain_order=True)
    last = ordered.unique("resource", keep="last", maintain_order=True).with_columns(content=hashed)
    write_rows(place / _PLACE, last.select(*_SCHEMA).cast(pl.Schema(_SCHEMA)), "resource")


def save_versions(settings: Settings, night: str, place: Path) -> None:
    """Write the spilled versions as the night's file, in place of those that its drop stated before."""
    parts, path = sorted((place / _PLACE).glob("*.parquet")), _folder(settings) / f"{night}.parquet"
    if not parts:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with atomic_write(path, mode=0o600) as temporary:
        if path.exists():
            rows = pl.concat([pl.read_parquet(path), *map(pl.read_parquet, parts)])
            rows.unique("resource", keep="last", maintain_order=True).sort("resource").write_parquet(temporary)
            return
        with pq.ParquetWriter(temporary, pq.read_schema(parts[0]), compression="zstd") as writer:
            for part in parts:  # one at a time: the whole may not fit in memory
                writer.write_table(pq.read_table(part))


def find_verdicts(settings: Settings, nights: Collection[str], touched: pl.DataFrame) -> pl.DataFrame:
    """By ``source``, whether a version is ``NEWER`` or ``OLDER`` than those of other drops; none where undecided."""
    schema = {"source": pl.String, "verdict": pl.Int8}
    paths = _list_files(settings, nights)
    stated = touched.filter((pl.col("updated") > 0) | (pl.col("version") > 0))
    if not paths or stated.is_empty():
        return pl.DataFrame(schema=schema)
    wanted = stated.select("resource").unique().lazy()
    # file by file: reading all of them at once takes memory that grows with their number
    found = [pl.scan_parquet(path).join(wanted, on="resource", how="semi").collect() for path in paths]
    known = _choose_latest(pl.concat(found))
    compared = stated.join(known, on="resource").select("source", verdict=_compare())
    return (
        compared.group_by("source").agg(pl.col("verdict").max()).filter(pl.col("verdict") != 0).cast(pl.Schema(schema))
    )


def _choose_latest(known: pl.DataFrame) -> pl.DataFrame:
    """Of each resource the latest ``updated``, the greatest ``version`` of that time, and that of any time."""
    latest = pl.col("updated").max()
    return known.group_by("resource").agg(
        last=latest,
        number=pl.col("version").filter(pl.col("updated") == latest).max(),
        any_number=pl.col("version").max(),
    )


def _compare() -> pl.Expr:
    """1 for a later version, -1 for an earlier one, 0 where nothing decides."""
    by_time = (pl.col("updated") - pl.col("last")).sign()
    same_time = pl.when((pl.col("version") > 0) & (pl.col("number") > 0)).then(pl.col("version") - pl.col("number"))
    by_number = pl.when((pl.col("version") > 0) & (pl.col("any_number") > 0)).then(
        pl.col("version") - pl.col("any_number")
    )
    timed = (pl.col("updated") > 0) & (pl.col("last") > 0)
    verdict = pl.when(timed & (by_time != 0)).then(by_time).when(timed).then(same_time).otherwise(by_number)
    return verdict.fill_null(0).sign().cast(pl.Int8)


class KnownAllergies:
    """The allergies of the other drops, in 32 bytes each: ``conflicts_with`` says where nothing decides."""

    def __init__(self, settings: Settings, nights: Collection[str]) -> None:
        rows = [
            pl.read_parquet(path)
            .filter("allergy")
            .with_columns(seen=pl.lit(to_micros(end_of_day(parse_night(path.stem)))))
            for path in _list_files(settings, nights)
        ]
        schema = _SCHEMA | {"seen": pl.Int64}
        known = pl.concat(rows) if rows else pl.DataFrame(schema=schema)
        latest = known.sort("updated", "version", "seen").unique("resource", keep="last").sort("resource")
        self._resources = HashSet(latest["resource"].to_numpy())
        self._columns = [latest[name].to_numpy() for name in ("content", "updated", "version", "seen")]

    def conflicts_with(self, resource: int, content: int, updated: int, version: int) -> bool:
        """Whether another drop has an allergy with other content, and nothing says which is later.

        Two versions that both say nothing of themselves follow the order of the drops. A version of a time after the
        drop that had one without is later.
        """
        index = self._resources.find_index(resource)
        if index is None:
            return False
        known, last, number, seen = (int(column[index]) for column in self._columns)
        if content == known or not (updated or version or last or number):
            return False
        if updated and last:
            return updated == last and not (version and number and version != number)
        if version and number:
            return version == number
        return not (updated > seen and not last and not number)


def _list_files(settings: Settings, nights: Collection[str]) -> list[Path]:
    return [path for night in sorted(nights) if (path := _folder(settings) / f"{night}.parquet").exists()]


def _folder(settings: Settings) -> Path:
    return settings.quarantine / "versions"
