"""Measure historical reads and Redis materialisation against Feast's own, over the same files."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from feast import FeatureStore

from benchmarks.serving.figures import row
from feature_repo.point_in_time import KEY
from feature_repo.store import feast_store
from feature_repo.store.online_stores import describe_store
from feature_repo.store.rows import cast_row
from feature_repo.store.services import SERVICE
from pipelines.features.build import historical_rows
from pipelines.features.online import materialise
from pipelines.night_dates import end_of_night
from pmlm.settings import Settings

Row = dict[str, Any]


def measure_point_in_time(settings: Settings, asked: int, by_feast: int) -> Iterator[Row]:
    """Measure rows per second of a training set; Feast's default offline store reads a part.

    The baseline is what a further row costs Feast: between a quarter of that part and all of it, so that its fixed
    cost does not count. Raises ``AssertionError`` where the two differ in any value of those rows.
    """
    wanted = _draw_moments(settings, asked)
    started = time.perf_counter()
    ours = historical_rows.read_rows(settings, wanted)
    seconds = time.perf_counter() - started
    few, part = wanted.head(by_feast // 4), wanted.head(by_feast)
    _, quick = _ask_default_store(settings, few)
    theirs, slow = _ask_default_store(settings, part)
    ours_of_part = [cast_row(r) for r in ours.head(by_feast).to_dict("records")]
    assert theirs == ours_of_part, "Feast's default offline store gives other rows"
    speed, baseline = len(wanted) / seconds, (len(part) - len(few)) / max(slow - quick, 1e-9)
    yield row(
        "point_in_time", speed, "rows/s", len(wanted), baseline=baseline, target=">= 20 x",
        holds=speed >= 20 * baseline, baseline_n=[len(few), len(part)], wall_s=round(seconds, 2),
        baseline_wall_s=[round(quick, 2), round(slow, 2)],
    )  # fmt: skip


def _draw_moments(settings: Settings, asked: int) -> pd.DataFrame:
    """Draw patients and seconds at random, within the years that their rows cover."""
    keys = pl.scan_parquet(settings.features / "demographics" / "*.parquet").select(*KEY).collect()
    drawn = keys.sample(asked, with_replacement=True, seed=0).to_pandas()
    later = np.random.default_rng(0).integers(0, 86_400 * 30, asked)
    return drawn.assign(event_timestamp=drawn[KEY[1]] + pd.to_timedelta(later, unit="s")).drop_duplicates()


def _ask_default_store(settings: Settings, wanted: pd.DataFrame) -> tuple[list[dict[str, Any]], float]:
    """Read the same rows by ``offline_store: file`` (Dask) from the same registry; return seconds too."""
    folder = settings.feast / "by-default"
    feast_store.define_store(folder, settings.features)
    config = folder / feast_store.CONFIG
    stated = json.loads(config.read_text().split("\n", 1)[1])
    config.write_text(json.dumps(stated | {"offline_store": {"type": "file"}}))
    opened = FeatureStore(repo_path=str(folder))
    started = time.perf_counter()
    service = opened.get_feature_service(SERVICE)
    found = opened.get_historical_features(entity_df=wanted.copy(), features=service).to_df()
    seconds = time.perf_counter() - started
    found[KEY[1]] = pd.to_datetime(found[KEY[1]], utc=True).dt.as_unit("us")
    ordered = wanted.merge(found, on=list(KEY), how="left")
    return [dict(cast_row(r)) for r in ordered.to_dict("records")], seconds


def measure_redis(settings: Settings, night: str) -> Iterator[Row]:
    """Measure rows per second into an empty Redis, by the night and by ``feast materialize``.

    Raises ``AssertionError`` where a patient's served row differs. Without Redis nothing is measured.
    """
    if shutil.which("redis-server") is None:
        return
    with _start_redis() as url:
        ours = settings.model_copy(update={"online_store": url + "/0"})
        started = time.perf_counter()
        written = materialise.run(ours, night).rows_out
        seconds = time.perf_counter() - started
        theirs = feast_store.define_store(settings.feast / "by-feast", settings.features, describe_store(url + "/1"))
        started = time.perf_counter()
        end = end_of_night(night)
        theirs.materialize(start_date=end - timedelta(days=365 * 200), end_date=end, disable_event_timestamp=False)
        slow = time.perf_counter() - started
        patients = pl.scan_parquet(settings.features / "demographics" / "*.parquet").select(KEY[0]).unique().collect()
        _assert_same_rows(feast_store.open_store(settings.feast), theirs, patients[KEY[0]].sort().to_list())
    speed, baseline = written / seconds, written / slow
    yield row(
        "materialise_redis", speed, "rows/s", written, baseline=baseline, target=">= 5 x", holds=speed >= 5 * baseline,
        wall_s=round(seconds, 2), baseline_wall_s=round(slow, 2),
    )  # fmt: skip


def _assert_same_rows(ours: FeatureStore, theirs: FeatureStore, patients: list[int]) -> None:
    for start in range(0, len(patients), 500):
        asked = [{"subject_id": subject} for subject in patients[start : start + 500]]
        one, other = (
            s.get_online_features(features=s.get_feature_service(SERVICE), entity_rows=asked).to_df()
            for s in (ours, theirs)
        )
        for a, b in zip(one.to_dict("records"), other.to_dict("records"), strict=True):
            assert cast_row(a) == cast_row(b), "feast materialize serves another row"


def _wait_for(port: int) -> None:
    """Wait for the server, and import its client before any clock runs."""
    from redis import Redis
    from redis.exceptions import ConnectionError as NotYet

    for _ in range(200):
        try:
            Redis(port=port).ping()
            return
        except NotYet:
            time.sleep(0.05)


@contextmanager
def _start_redis() -> Iterator[str]:
    """Start a Redis without files on a free port; return its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)
