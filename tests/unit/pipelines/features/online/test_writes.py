"""Our writing leaves in SQLite, Redis and Postgres what Feast's own leaves, byte for byte."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from feast import FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Array, FeastType, Float32, Float64, Int64, String, UnixTimestamp

from feature_repo.entities import subject
from feature_repo.store import feast_store
from feature_repo.store.online_stores import describe_store
from feature_repo.store.rows import _CASTS
from feature_repo.store.services import list_features
from pipelines.features.online.writes import BATCH, build_writer
from tests.unit.pipelines.features.servers import Server, postgres, redis

NOW = dt.datetime(2026, 6, 1, 23, 59, 59, tzinfo=dt.UTC)
MOMENTS = [NOW, dt.datetime(1931, 2, 3, 4, 5, 6, tzinfo=dt.UTC), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)]
NUMBERS = [0.0, -0.0, 36.6, -1e300, float("nan"), float("inf"), 1 / 3]
SMALL = [0.0, 36.5, float("nan"), float("-inf"), 0.1]
TEXTS = ["", "Zürich", "Ω≈ç√", "\N{PREGNANT WOMAN}", "line\nend", "tab\tand \\ back", "'; --", "x" * 200]
SINGLE: dict[FeastType, tuple[pl.DataType, list[Any]]] = {
    Float64: (pl.Float64(), NUMBERS),
    Float32: (pl.Float32(), SMALL),
    Int64: (pl.Int64(), [0, 1, -1, 300, 2**40]),
    String: (pl.String(), TEXTS),
    UnixTimestamp: (pl.Datetime("us", "UTC"), MOMENTS),
}
LISTED = (Float64, Float32, String, UnixTimestamp)
DTYPES: dict[str, FeastType] = {
    **{str(dtype).lower(): dtype for dtype in SINGLE},
    **{f"{dtype}_list".lower(): Array(dtype) for dtype in LISTED},
}
SERVERS = {"sqlite": None, "redis": redis, "postgres": postgres}
Raw = dict[Any, Any]


def test_every_type_that_a_feature_has_is_among_those_compared() -> None:
    assert {str(field.dtype) for field in list_features().values()} <= {str(dtype) for dtype in DTYPES.values()}
    assert set(SINGLE) == set(_CASTS)


def generated(patients: int) -> pl.DataFrame:
    """Rows of every type; the first patient has no value, the second only empty lists."""
    random = Random(7)

    def one(values: list[Any]) -> Any:
        return random.choice([None, *values])

    def several(values: list[Any]) -> Any:
        return random.choice([None, [], [one(values) for _ in range(random.randrange(4))]])

    columns = {
        "subject_id": pl.Series([random.choice([w, w + 2**40]) for w in range(patients)]),
        "event_timestamp": pl.Series([NOW - dt.timedelta(days=w % 50) for w in range(patients)], dtype=MOMENT),
        "created_timestamp": pl.Series(
            [NOW + dt.timedelta(seconds=w, microseconds=7) for w in range(patients)], dtype=MOMENT
        ),
    }
    for name, dtype in DTYPES.items():
        made, values = SINGLE[dtype.base_type if isinstance(dtype, Array) else dtype]
        if isinstance(dtype, Array):
            drawn, made = [None, [], *(several(values) for _ in range(patients - 2))], pl.List(made)
        else:
            drawn = [None, None, *(one(values) for _ in range(patients - 2))]
        columns[name] = pl.Series(drawn, dtype=made)
    return pl.DataFrame(columns)


MOMENT = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module", params=sorted(SERVERS))
def online(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Feast's description of each store, its server running."""
    begin = SERVERS[request.param]
    with begin() if begin else nullcontext() as running:
        yield dict(describe_store(running.url if isinstance(running, Server) else "sqlite"))


@pytest.fixture
def opened(online: dict[str, Any], tmp_path: Path) -> Iterator[tuple[FeatureStore, FeatureView]]:
    """A store with one view of every type; its rows are dropped after the test."""
    source = FileSource(
        path=str(tmp_path / "rows.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    generated(2).write_parquet(tmp_path / "rows.parquet")
    schema = [Field(name=name, dtype=dtype) for name, dtype in DTYPES.items()]
    view = FeatureView(name="everything", entities=[subject], schema=schema, source=source)
    config = feast_store._build_config(str(tmp_path / "registry.db"), online, "project")
    made = FeatureStore(config=RepoConfig(repo_path=tmp_path, **config))
    made.apply([subject, view])
    yield made, made.get_feature_view("everything")
    made.teardown()


def by_ours(made: FeatureStore, view: FeatureView, rows: pl.DataFrame) -> None:
    build_writer(made)(view, rows)


def by_provider(made: FeatureStore, view: FeatureView, rows: pl.DataFrame) -> None:
    made._get_provider().ingest_df(view, rows.to_arrow().to_pandas())


def by_command(made: FeatureStore, view: FeatureView, rows: pl.DataFrame) -> None:
    assert isinstance(view.batch_source, FileSource)
    rows.write_parquet(view.batch_source.path)
    made.materialize(
        start_date=NOW - dt.timedelta(days=365), end_date=NOW, disable_event_timestamp=False, feature_views=[view.name]
    )


def left(made: FeatureStore) -> Raw:
    """Take every stored row, as bytes, out of the store."""
    driver, config = made._get_provider().online_store, made.config
    kind = config.online_store.type
    if kind == "redis":
        client = driver._get_client(config.online_store)
        found: Raw = {key: client.hgetall(key) for key in client.scan_iter()}
        client.flushdb()
        return found
    query = 'select *{} from "project_everything"'
    if kind == "sqlite":
        connection = driver._get_conn(config)
        kinds = query.format(", typeof(event_ts), typeof(created_ts)")
        rows = connection.execute(kinds).fetchall()
        connection.execute('delete from "project_everything"')
        connection.commit()
    else:
        with driver._get_conn(config) as connection, connection.cursor() as cursor:
            rows = [tuple(map(_bytes, row)) for row in cursor.execute(query.format("")).fetchall()]
            cursor.execute('delete from "project_everything"')
            connection.commit()
    return {row[:2]: row[2:] for row in rows}


def _bytes(cell: Any) -> Any:
    return bytes(cell) if isinstance(cell, memoryview) else cell


@pytest.mark.parametrize("by_feast", [by_provider, by_command])
def test_what_we_write_is_stored_as_if_feast_had_written_it(
    opened: tuple[FeatureStore, FeatureView], by_feast: Callable[[FeatureStore, FeatureView, pl.DataFrame], None]
) -> None:
    rows = generated(60)
    raw = []
    for write in (by_feast, by_ours):
        write(*opened, rows)
        raw.append(left(opened[0]))
    theirs, ours = raw
    assert len(theirs) in (60, 60 * len(DTYPES))
    assert ours == theirs


def test_a_later_row_replaces_every_value_of_its_patient_and_no_others(
    opened: tuple[FeatureStore, FeatureView],
) -> None:
    """Also where all that is new is unknown."""
    made, view = opened
    rows = generated(20)
    shifted = rows.with_columns(
        *(pl.col(name).shift(-1, fill_value=None) for name in DTYPES),
        event_timestamp=pl.col("event_timestamp") + pl.duration(days=1),
    )[:10]
    raw = []
    for write in (by_provider, by_ours):
        write(made, view, rows)
        write(made, view, shifted)
        raw.append(left(made))
    assert raw[0] == raw[1]


def test_a_row_computed_again_for_the_same_moment_is_served(opened: tuple[FeatureStore, FeatureView]) -> None:
    """Feast passes over it on Redis."""
    made, view = opened
    rows = generated(3)[2:]
    known = [rows.with_columns(string=pl.lit(word), int64=pl.lit(7)) for word in ("before", "after")]
    for batch in known:
        by_ours(made, view, batch)
    again = left(made)
    by_ours(made, view, known[1])
    assert again == left(made)


def test_more_rows_than_one_batch_are_all_written(opened: tuple[FeatureStore, FeatureView]) -> None:
    made, view = opened
    rows = pl.concat(generated(50).with_columns(pl.col("subject_id") + 1000 * part) for part in range(BATCH // 50 + 1))
    by_ours(made, view, rows)
    found = left(made)
    subjects = rows["subject_id"].n_unique()
    assert subjects > BATCH
    assert len(found) in (subjects, subjects * len(DTYPES))
    assert len(set(itertools.chain(found))) == len(found)
