"""Put every changed patient's latest row into the online store, at once and safely repeatable.

Feast's own incremental materialisation looks only at rows whose event timestamp is newer than its last run, so a row
for an older moment that was computed late is never seen (feast-dev/feast#4133). Here the *files* say what is new:
whoever has a row in a feature file that was not taken in before gets her latest row written, whatever moment it is
of. If a file has changed or is gone (an earlier night was restored) the whole store is written anew.

SQLite is filled in a folder beside the served file and put in its place by a rename, so a reader sees last night's
store or this night's, and a killed run leaves the old one. Other stores are written in place: a rerun replaces each
row by the same row.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import polars as pl

from feature_repo import store
from feature_repo.point_in_time import KEY
from feature_repo.services import groups, schema_hash
from pipelines.features import ledger
from pipelines.runs import StageSummary, stage_run
from pipelines.settings import Settings
from pipelines.storage import content_hash, read_json, write_json

#: Which feature files the online store holds, by content; written after the store itself.
TAKEN = "materialised.json"
STAGING = "next"


def run(settings: Settings, night: str) -> StageSummary:
    """Bring the online store up to the feature files; ``noop`` where it already is.

    Rows in are feature files not taken in before, rows out the rows written over all groups.
    """
    with stage_run(settings, night, "materialise") as summary:
        store.define(settings.feast, settings.features)
        present = {
            str(path.relative_to(settings.features)): content_hash([path])
            for path in sorted(settings.features.glob("*/*.parquet"))
        }
        taken = _taken(settings.feast)
        anew = any(present.get(name) != digest for name, digest in taken.items())
        fresh = [name for name in present if anew or name not in taken]
        if fresh:
            summary.figures = _fill(settings, fresh, anew=anew or not taken)
            write_json(settings.feast / TAKEN, {"schema": schema_hash(), "files": present})
        else:
            summary.status, summary.detail = "noop", "the online store holds every row already"
        summary.rows_in, summary.rows_out = len(fresh), sum(summary.figures.values())
    return summary


def _taken(store_dir: Path) -> dict[str, str]:
    """The files that the store in place holds; none where it is gone or of another schema."""
    path = store_dir / TAKEN
    if not path.exists() or not (store_dir / str(store.SQLITE["path"])).exists():
        return {}
    stated = read_json(path)
    files: dict[str, str] = stated["files"] if stated["schema"] == schema_hash() else {}
    return files


def _fill(settings: Settings, fresh: list[str], *, anew: bool) -> dict[str, int]:
    """Write the latest rows of every patient in the ``fresh`` files into a copy of the store, then put it in place."""
    served, staging = settings.feast / str(store.SQLITE["path"]), settings.feast / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    target = store.define(staging, settings.features)
    filled = staging / served.name
    if not anew:
        shutil.copyfile(served, filled)
    written = {}
    for group in groups():
        files = [settings.features / name for name in fresh if name.split("/")[0] == group]
        rows = _latest_rows(settings.features / group, files)
        if not rows.empty:
            target.write_to_online_store(group, rows)
        written[group] = len(rows)
    filled.replace(served)
    shutil.rmtree(staging)
    return written


def _latest_rows(folder: Path, files: list[Path]) -> pd.DataFrame:
    """The newest row of every patient who has a row in one of the files."""
    if not files:
        return pd.DataFrame()
    changed = pl.scan_parquet(files).select("subject_id").unique()
    rows = ledger.current_rows(folder).join(changed, on="subject_id", how="semi").sort(*KEY)
    return rows.unique("subject_id", keep="last", maintain_order=True).collect().to_arrow().to_pandas()
