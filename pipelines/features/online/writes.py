"""Writes rows of one feature group to the online store, many at once, as Feast itself would have left them.

Feast's own writing turns every value into an object of its own, tells SQLite and Postgres one value at a time, and asks
Redis first what it has. As in ``feature_repo.store.online_values`` Feast still says where and how the rows lie: its
opened store gives the connection, the names of tables and hash fields, the key of a patient and the message of a
value. Only the statements are ours, and the test that both leave the same
(``tests/unit/pipelines/features/online/test_writes.py``).

One thing differs. Feast passes over a row that Redis has for the same moment already, or for a later one; here it is
replaced, as on SQLite and Postgres: a moment is computed again when a fact about it becomes known late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import chain, repeat
from typing import Any

import polars as pl
from feast import FeatureStore, FeatureView
from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_table_id
from google.protobuf.timestamp_pb2 import Timestamp

from feature_repo.point_in_time import KEY
from feature_repo.store.online_values import driver, entity, key
from pipelines.features.online.stored_values import encode_texts, encode_values, to_storable

#: Takes a group's view and its rows: ``KEY``, ``created_timestamp``, every feature; one row a patient.
WriteRows = Callable[[FeatureView, pl.DataFrame], None]
BATCH = 2000  # rows a pipeline or statement: what a server's patience and memory hold

_COLUMNS = ("entity_key", "feature_name", "value", "value_text", "event_ts", "created_ts")
_REPLACED = _COLUMNS[2:]


def build_writer(store: FeatureStore) -> WriteRows:
    """A function that writes rows, over a connection that stays open; a row is written as a whole or not at all.

    It raises what the store's driver raises, and ``NotImplementedError`` comes from here for a store of another type.
    """
    kind = store.config.online_store.type
    if kind not in _WRITERS:
        raise NotImplementedError(f"no way to write to an online store of type {kind}")
    write = _WRITERS[kind](store)

    def in_batches(view: FeatureView, rows: pl.DataFrame) -> None:
        for batch in rows.iter_slices(BATCH):
            write(view, batch)

    return in_batches


def _build_redis_writer(store: FeatureStore) -> WriteRows:
    client = driver(store)._get_client(store.config.online_store)
    key_of = cache(lambda subject: _redis_key(store.project, entity(subject)))

    def write(view: FeatureView, rows: pl.DataFrame) -> None:
        values = to_storable(rows, view.features)
        said = chain.from_iterable(
            (repeat(_mmh3(f"{view.name}:{f.name}")), encode_values(values[f.name], f.dtype)) for f in view.features
        )
        keys, moments = map(key_of, rows[KEY[0]]), map(_encode_moment, rows[KEY[1]])
        with client.pipeline(transaction=False) as pipe:
            for command in zip(repeat("HSET"), keys, repeat(f"_ts:{view.name}"), moments, *said, strict=False):
                pipe.execute_command(*command)
            pipe.execute()

    return write


def _build_sqlite_writer(store: FeatureStore) -> WriteRows:
    from feast.infra.online_stores.sqlite import adapt_datetime_epoch

    connection = driver(store)._get_conn(store.config)
    key_of = cache(lambda subject: key(store, subject))
    replaced = ", ".join(f"{name} = excluded.{name}" for name in _REPLACED)

    def write(view: FeatureView, rows: pl.DataFrame) -> None:
        table = compute_table_id(store.project, view)
        statement = (
            f'INSERT INTO "{table}" ({", ".join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?) '
            f"ON CONFLICT(entity_key, feature_name) DO UPDATE SET {replaced}"
        )
        with connection:
            connection.executemany(statement, _list_cells(view, rows, key_of, adapt_datetime_epoch))

    return write


def _build_postgres_writer(store: FeatureStore) -> WriteRows:
    from psycopg import sql

    online = driver(store)
    key_of = cache(lambda subject: key(store, subject))
    names = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
    replaced = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in _REPLACED)
    make = sql.SQL("CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0")
    copy = sql.SQL("COPY fresh FROM STDIN")
    insert = sql.SQL("INSERT INTO {} ({}) SELECT * FROM fresh ON CONFLICT (entity_key, feature_name) DO UPDATE SET {}")

    def write(view: FeatureView, rows: pl.DataFrame) -> None:
        table = sql.Identifier(compute_table_id(store.project, view))
        with online._get_conn(store.config) as opened, opened.transaction(), opened.cursor() as cursor:
            cursor.execute(make.format(names, table))
            with cursor.copy(copy) as lines:
                for cell in _list_cells(view, rows, key_of, lambda moment: moment):
                    lines.write_row(cell)
            cursor.execute(insert.format(table, names, replaced))

    return write


_WRITERS: dict[str, Callable[[FeatureStore], WriteRows]] = {
    "sqlite": _build_sqlite_writer,
    "postgres": _build_postgres_writer,
    "redis": _build_redis_writer,
}


def _list_cells(
    view: FeatureView, rows: pl.DataFrame, key_of: Callable[[int], bytes], told: Callable[[datetime], Any]
) -> Iterator[tuple[Any, ...]]:
    """One tuple of ``_COLUMNS`` for every value, a patient's together."""
    keys = [key_of(subject) for subject in rows[KEY[0]]]
    moments, made = ([told(m) for m in _to_naive_utc(rows[name])] for name in (KEY[1], "created_timestamp"))
    values = to_storable(rows, view.features)
    by_feature = (
        zip(
            keys,
            repeat(f.name),
            encode_values(values[f.name], f.dtype),
            encode_texts(values[f.name], f.dtype),
            moments,
            made,
        )
        for f in view.features
    )
    return chain.from_iterable(zip(*by_feature, strict=True))


def _to_naive_utc(moments: pl.Series) -> list[datetime]:
    """UTC, and not said to be."""
    return moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_list()


@cache
def _encode_moment(moment: datetime) -> bytes:
    """A moment as Feast's Redis keeps it."""
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp.SerializeToString()
