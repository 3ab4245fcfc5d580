"""Specimens and observations that arrive in different drops.

A drop leaves its specimens, and which of its observations name one that no drop has had. When that specimen comes and
is not the patient's own, what was taken for her value is withdrawn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.records.interpret.specimens import SpecimenIndex
from pipelines.records.log.versions import TOUCHED_SCHEMA
from pipelines.records.read.fhir_time import Micros
from pmlm.settings import Settings
from pmlm.storage import atomic_write

WAITING = "waiting"  # in the spill folder
#: ``own`` and ``unowned`` are the specimen's keys with the observation's patient and with nobody as its owner.
WAITING_SCHEMA: dict[str, Any] = dict.fromkeys(("specimen", "own", "unowned", "record", "resource"), pl.Int64)
_SPECIMEN_SCHEMA: dict[str, Any] = {"specimen": pl.Int64, "owner": pl.Int64, "material": pl.String}


def load_earlier_specimens(settings: Settings, nights: Collection[str], index: SpecimenIndex) -> None:
    """Complete a drop's index by the specimens of other drops that its observations name."""
    wanted = pl.DataFrame({"specimen": index.list_missing()}, schema={"specimen": pl.Int64})
    paths = _list(settings, "specimens", nights)
    found = [pl.read_parquet(path).join(wanted, on="specimen", how="semi") for path in paths]
    rows = pl.concat([pl.DataFrame(schema=_SPECIMEN_SCHEMA), *found])
    rows = rows.unique("specimen", keep="last", maintain_order=True)
    material = dict(rows.filter(pl.col("material").is_not_null()).select("specimen", "material").iter_rows())
    index.close(rows["specimen"].to_numpy(), rows["owner"].to_numpy(), material)


def save_links(settings: Settings, night: str, index: SpecimenIndex, place: Path) -> None:
    """Add the drop's specimens, and its observations that wait for one, to its files."""
    specimens, owners = index.taken
    rows = pl.DataFrame({"specimen": specimens, "owner": owners}).with_columns(
        material=pl.col("specimen").replace_strict(index.material, default=None, return_dtype=pl.String)
    )
    _add(settings, "specimens", night, rows, "specimen")
    parts = [pl.read_parquet(path) for path in sorted((place / WAITING).glob("*.parquet"))]
    if parts:
        _add(settings, WAITING, night, pl.concat(parts), "record")


def find_foreign_records(
    settings: Settings, nights: Collection[str], index: SpecimenIndex, end: Micros
) -> Iterator[pl.DataFrame]:
    """Yield, as rows of ``TOUCHED_SCHEMA``, what other drops took for values of the patient's own specimens."""
    specimens, owners = index.taken
    if not len(specimens):
        return
    taken, owned = np.unique(specimens), np.unique(owners)
    material = np.asarray(sorted(index.material), dtype=np.int64)
    for path in _list(settings, WAITING, nights):
        rows = pl.read_parquet(path)
        at = {name: rows[name].to_numpy() for name in WAITING_SCHEMA}
        own = np.isin(at["own"], owned) | np.isin(at["unowned"], owned)
        foreign = rows.filter(np.isin(at["specimen"], taken) & (np.isin(at["specimen"], material) | ~own))
        yield foreign.select(
            "record",
            # not a content's hash: what the observation says did not change
            source=pl.format("specimen {} {}", "specimen", "resource"),
            since=pl.lit(end),
            resource="resource",
            updated=pl.lit(0),
            version=pl.lit(0),
            allergy=pl.lit(False),
        ).cast(pl.Schema(TOUCHED_SCHEMA))


def _add(settings: Settings, name: str, night: str, rows: pl.DataFrame, key: str) -> None:
    if rows.is_empty():
        return
    path = settings.quarantine / name / f"{night}.parquet"
    rows = pl.concat([pl.read_parquet(path), rows]) if path.exists() else rows
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with atomic_write(path, mode=0o600) as temporary:
        rows.unique(key, keep="last", maintain_order=True).sort(key).write_parquet(temporary)


def _list(settings: Settings, name: str, nights: Collection[str]) -> list[Path]:
    return [path for night in sorted(nights) if (path := settings.quarantine / name / f"{night}.parquet").exists()]
