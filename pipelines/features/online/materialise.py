"""Stage ``materialise``: write every changed patient's latest row to the online store.

Feast's own incremental materialisation reads only rows with an event timestamp newer than its last run, so a row of
an older as-of time that was computed late is never seen (feast-dev/feast#4133). Here the *files* say what is new: a
patient with a row in a new feature file gets their latest row written, whatever its as-of time, unless its values are
served already (as most rows of peers are).

The whole store is replaced if a file has changed or is gone (an earlier night was restored, a definition or a model
changed), or if the store is another one, has lost its rows, or was being written in place by a run that was killed:
it is filled in a staging folder and swapped in, so rows of two versions never meet. SQLite is always swapped in, so a
reader sees last night's store or this night's, and a killed run leaves the old one. On a server
(``feature_repo.store.online_stores``) an ordinary night's rows are written in place, each patient's group as a whole.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from feast import FeatureStore

from feature_repo.point_in_time import KEY
from feature_repo.store import feast_store
from feature_repo.store.feast_internals import has_row, read_store_type
from feature_repo.store.online_stores import describe_store, redact_setting
from feature_repo.store.services import find_groups, hash_schema
from pipelines.features.build.definitions import TRAJECTORY
from pipelines.features.engines import feature_files
from pipelines.features.online.writes import build_writer
from pipelines.runs import StageSummary, stage_run
from pmlm.errors import FeaturesError, SettingsError
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json, write_json

#: Names the feature files in the online store, with their hashes; written after the store itself.
TAKEN = "materialised.json"
STAGING = "next"
BEGUN = "writing-in-place"  # exists while rows on a server are being replaced


def run(settings: Settings, night: str) -> StageSummary:
    """Bring the online store up to the feature files; ``noop`` if it is.

    Rows in are feature files not taken in before, rows out the rows written over all groups. Raises ``FeaturesError``
    where the store's server does not answer; a rerun goes on from there.
    """
    online = read_store_config(settings)
    with stage_run(settings, night, "materialise") as summary:
        for folder in settings.features.glob("*/"):
            feature_files.remove_uncommitted(folder)
        present = hash_feature_files(settings)
        with explain_silence(settings):
            taken = _read_taken(settings, online)
            rewrite = not taken or any(present.get(name) != digest for name, digest in taken.items())
            rewrite |= (settings.feast / BEGUN).exists()  # it is unknown which rows a killed run had written
            fresh = [name for name in present if rewrite or name not in taken]
            if fresh:
                summary.figures = _fill_store(settings, online, fresh, rewrite=rewrite)
                state = {"schema": hash_schema(), "store": _hash_config(online), "files": present}
                write_json(settings.feast / TAKEN, state)
                (settings.feast / BEGUN).unlink(missing_ok=True)
            else:
                summary.status, summary.detail = "noop", "the online store holds every row already"
        summary.rows_in, summary.rows_out = len(fresh), sum(summary.figures.values())
    return summary


@contextmanager
def explain_silence(settings: Settings) -> Iterator[None]:
    """Turn what a driver raises in the block into ``FeaturesError``: the store's server does not answer."""
    try:
        yield
    except _list_driver_errors() as error:
        where = redact_setting(settings.online_store)
        raise FeaturesError(f"the online store {where} does not answer: {type(error).__name__}") from error


def read_store_config(settings: Settings) -> Mapping[str, Any]:
    """Read ``PMLM_ONLINE_STORE`` as Feast's configuration; ``SettingsError`` where it is none."""
    try:
        return describe_store(settings.online_store)
    except ValueError as error:
        raise SettingsError(f"PMLM_ONLINE_STORE: {error}") from error


def hash_feature_files(settings: Settings) -> dict[str, str]:
    """Hash every feature file, by its path below the features' folder."""
    found = sorted(settings.features.glob("*/*.parquet"))
    return {str(path.relative_to(settings.features)): hash_files([path]) for path in found}


def _read_taken(settings: Settings, online: Mapping[str, Any]) -> dict[str, str]:
    """Read which files are in the served store; none if it cannot be continued."""
    path = settings.feast / TAKEN
    if not path.exists() or not (settings.feast / feast_store.CONFIG).exists():
        return {}
    state = read_json(path)
    same = (state["schema"], state.get("store")) == (hash_schema(), _hash_config(online))
    taken: dict[str, str] = state["files"]
    return taken if same and _has_rows(settings) else {}


def _has_rows(settings: Settings) -> bool:
    """Whether the served store has the newest row's patient: servers may lose data."""
    if read_store_config(settings) == feast_store.SQLITE:
        return (settings.feast / str(feast_store.SQLITE["path"])).exists()
    group = next(iter(find_groups()))
    newest = pl.scan_parquet(settings.features / group / "*.parquet").sort(KEY[1]).last().collect()
    if newest.is_empty():
        return False
    served = feast_store.open_store(settings.feast)
    feature = f"{group}:{find_groups()[group].view.features[0].name}"
    try:
        found = served.get_online_features([feature], [{"subject_id": newest["subject_id"][0]}])
    except _list_driver_errors() as error:
        if type(error).__name__ != "UndefinedTable":  # Postgres without its tables
            raise
        return False
    return has_row(found)


def _hash_config(online: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(online), sort_keys=True).encode()).hexdigest()[:16]


def _list_driver_errors() -> tuple[type[Exception], ...]:
    """List what the installed drivers raise when a server does not answer."""
    found: list[type[Exception]] = [OSError]
    try:
        from redis.exceptions import RedisError

        found.append(RedisError)
    except ImportError:
        pass
    try:
        from psycopg import Error

        found.append(Error)
    except ImportError:
        pass
    return tuple(found)


def _fill_store(settings: Settings, online: Mapping[str, Any], fresh: list[str], *, rewrite: bool) -> dict[str, int]:
    """Write the latest rows of every patient in the ``fresh`` files; return rows per group."""
    if online == feast_store.SQLITE:
        copied = None if rewrite else settings.feast
        return _replace_store(settings, online, feast_store.PROJECT, fresh, copy_from=copied)
    if rewrite:
        return _replace_store(settings, online, f"{feast_store.PROJECT}_{secrets.token_hex(4)}", fresh, copy_from=None)
    return _write_in_place(settings, fresh)


def _write_in_place(settings: Settings, fresh: list[str]) -> dict[str, int]:
    """Write to the served store on a server."""
    (settings.feast / BEGUN).touch()
    return _write_groups(settings, feast_store.open_store(settings.feast), fresh, rewrite=False)


def _replace_store(
    settings: Settings, online: Mapping[str, Any], project: str, fresh: list[str], copy_from: Path | None
) -> dict[str, int]:
    """Fill a store in the staging folder, swap it in, and drop what it replaces."""
    staging, served, database = settings.feast / STAGING, settings.feast, str(feast_store.SQLITE["path"])
    _drop_leftovers(staging, served)
    shutil.rmtree(staging, ignore_errors=True)
    if copy_from is not None:  # with its registry, so that an ordinary night registers nothing
        staging.mkdir(parents=True)
        for name in (database, feast_store.name_registry(project), feast_store.CONFIG):
            if (copy_from / name).exists():
                shutil.copy(copy_from / name, staging / name)
    target = feast_store.define_store(staging, settings.features, online, project)
    written = _write_groups(settings, target, fresh, rewrite=copy_from is None)
    replaced = _open_or_none(served)
    _swap_in(staging, served, feast_store.name_registry(project), database)
    if replaced is not None and replaced.project not in (project, feast_store.PROJECT):
        _drop_rows(replaced)
        (served / feast_store.name_registry(replaced.project)).unlink(missing_ok=True)
    return written


def _swap_in(staging: Path, served: Path, registry: str, database: str) -> None:
    """Move rows and registry first, the configuration last: readers follow it, and it names both."""
    if (staging / database).exists():
        (staging / database).replace(served / database)
    for name in (registry, feast_store.CONFIG):
        new, old = staging / name, served / name
        if not old.exists() or old.read_bytes() != new.read_bytes():
            new.replace(old)
    if read_store_type(feast_store.open_store(served)) != feast_store.SQLITE["type"]:
        (served / database).unlink(missing_ok=True)
    shutil.rmtree(staging)


def _drop_leftovers(staging: Path, served: Path) -> None:
    """Drop the rows that a killed run had begun to write under another project."""
    staged, current = _open_or_none(staging), _open_or_none(served)
    if staged is None or staged.project == feast_store.PROJECT:
        return
    if current is None or current.project != staged.project:
        _drop_rows(staged)


def _open_or_none(folder: Path) -> FeatureStore | None:
    try:
        return feast_store.open_store(folder)
    except FileNotFoundError:
        return None


def _drop_rows(old: FeatureStore) -> None:
    try:
        old.teardown()
    except _list_driver_errors():  # it may be a server that the clinic no longer uses
        pass


def _write_groups(settings: Settings, target: FeatureStore, fresh: list[str], *, rewrite: bool) -> dict[str, int]:
    """Write the latest rows of the patients in the ``fresh`` files, unless served already."""
    feature_files.check_one_model(feature_files.scan_rows(settings.features / TRAJECTORY))
    written, write = {}, build_writer(target)
    for group in find_groups():
        files = sorted((settings.features / group).glob("*.parquet"))
        changed = [path for path in files if f"{group}/{path.name}" in fresh]
        latest = _read_latest_rows(files, changed)
        if not rewrite and changed:
            served = _read_latest_rows([path for path in files if path not in changed], changed)
            latest = _select_changed(latest, served)
        write(target.get_feature_view(group), latest)
        written[group] = len(latest)
    return written


def _read_latest_rows(files: list[Path], changed: list[Path]) -> pl.DataFrame:
    """Read the newest row of every patient with a row in the ``changed`` files.

    Of all files the keys are read, whole rows only of the files that have one of the newest.
    """
    if not files or not changed:
        return pl.DataFrame()
    order = [*KEY, "created_timestamp"]
    patients = pl.scan_parquet(changed).select("subject_id").unique()
    keys = pl.scan_parquet(files, include_file_paths="file").select(*order, "file")
    keys = keys.join(patients, on="subject_id", how="semi")
    newest = keys.sort(*order).unique("subject_id", keep="last", maintain_order=True).collect()
    if newest.is_empty():
        return pl.DataFrame()
    rows = pl.scan_parquet(newest["file"].unique().sort().to_list())
    return rows.join(newest.lazy().select(order), on=order, how="semi").sort(*KEY).collect()


def _select_changed(latest: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Select the rows whose values differ from those served: most rows of peers do not."""
    if latest.is_empty() or before.is_empty():
        return latest
    values = [name for name in latest.columns if name not in (*KEY, "created_timestamp")]
    aligned = latest.select("subject_id").join(before, on="subject_id", how="left", maintain_order="left")
    known = latest["subject_id"].is_in(before["subject_id"].implode())
    unequal = [~latest[name].eq_missing(aligned[name]) for name in values]
    differs = pl.DataFrame({str(i): column for i, column in enumerate([~known, *unequal])})
    return latest.filter(differs.select(pl.any_horizontal("*")).to_series())
