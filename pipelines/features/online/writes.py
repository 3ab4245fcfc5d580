"""Write a feature group's rows to the online store in bulk, as Feast stores them.

Feast's own writing builds one object per value, sends SQLite and Postgres one value at a time, and asks Redis first
what it has. Here the statements are ours, the rest Feast's (``feature_repo.store.feast_internals``). Both leave the
same (``tests/unit/pipelines/features/online/test_writes.py``), but for one thing: Feast skips a row that Redis has for
the same or a later as-of time; here it is replaced, as on SQLite and Postgres, since a row is computed again when a
fact becomes known late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from itertools import chain, repeat
from typing import Any

import polars as pl
from feast import FeatureStore, FeatureView

from feature_repo.point_in_time import KEY
from feature_repo.store import feast_internals
from feature_repo.store.feast_internals import encode_key, encode_redis_key, encode_values
from pipelines.features.online.stored_values import encode_texts, to_storable

#: Takes a group's view and its rows: ``KEY``, ``created_timestamp``, every feature; one row per patient.
WriteRows = Callable[[FeatureView, pl.DataFrame], None]
BATCH = 2000  # rows per pipeline or statement: more would strain a server's timeout and memory

_COLUMNS = ("entity_key", "feature_name", "value", "value_text", "event_ts", "created_ts")
_REPLACED = _COLUMNS[2:]


def build_writer(store: FeatureStore) -> WriteRows:
    """Build a function that writes rows, each whole or not at all.

    It raises what the store's driver raises; a store of another type raises ``NotImplementedError`` here.
    """
    kind = feast_internals.read_store_type(store)
    if kind not in _WRITERS:
        raise NotImplementedError(f"no way to write to an online store of type {kind}")
    write = _WRITERS[kind](store)

    def write_batches(view: FeatureView, rows: pl.DataFrame) -> None:
        for batch in rows.iter_slices(BATCH):
            write(view, batch)

    return write_batches


def _build_redis_writer(store: FeatureStore) -> WriteRows:
    client = feast_internals.open_redis(store)
    find_key = cache(lambda subject: encode_redis_key(store, subject))

    def write(view: FeatureView, rows: pl.DataFrame) -> None:
        values = to_storable(rows, view.features)
        fields = chain.from_iterable(
            (
                repeat(feast_internals.name_redis_field(view.name, f.name)),
                encode_values(values[f.name].to_list(), f.dtype),
            )
            for f in view.features
        )
        keys, moments = map(find_key, rows[KEY[0]]), map(feast_internals.encode_redis_time, rows[KEY[1]])
        time = repeat(feast_internals.name_redis_time(view.name))
        with client.pipeline(transaction=False) as pipe:
            for command in zip(repeat("HSET"), keys, time, moments, *fields, strict=False):
                pipe.execute_command(*command)
            pipe.execute()

    return write


def _build_sqlite_writer(store: FeatureStore) -> WriteRows:
    connection, encode_time = feast_internals.open_sqlite(store), feast_internals.load_sqlite_time_encoder()
    find_key = cache(lambda subject: encode_key(store, subject))
    replaced = ", ".join(f"{name} = excluded.{name}" for name in _REPLACED)

    def write(view: FeatureView, rows: pl.DataFrame) -> None:
        statement = (
            f'INSERT INTO "{feast_internals.name_table(store, view)}" ({", ".join(_COLUMNS)}) '
            f"VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(entity_key, feature_name) DO UPDATE SET {replaced}"
        )
        with connection:
            connection.executemany(statement, _list_cells(view, rows, find_key, encode_time))

    return write


def _build_postgres_writer(store: FeatureStore) -> WriteRows:
    from psycopg import sql

    find_key = cache(lambda subject: encode_key(store, subject))
    names = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS))
    replaced = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in _REPLACED)
    make = sql.SQL("CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS SELECT {} FROM {} LIMIT 0")
    copy = sql.SQL("COPY fresh FROM STDIN")
    insert = sql.SQL("INSERT INTO {} ({}) SELECT * FROM fresh ON CONFLICT (entity_key, feature_name) DO UPDATE SET {}")

    def write(view: FeatureView, rows: pl.DataFrame) -> None:
        table = sql.Identifier(feast_internals.name_table(store, view))
        with feast_internals.open_postgres(store) as opened, opened.transaction(), opened.cursor() as cursor:
            cursor.execute(make.format(names, table))
            with cursor.copy(copy) as lines:
                for cell in _list_cells(view, rows, find_key, lambda moment: moment):
                    lines.write_row(cell)
            cursor.execute(insert.format(table, names, replaced))

    return write


_WRITERS: dict[str, Callable[[FeatureStore], WriteRows]] = {
    "sqlite": _build_sqlite_writer,
    "postgres": _build_postgres_writer,
    "redis": _build_redis_writer,
}


def _list_cells(
    view: FeatureView,
    rows: pl.DataFrame,
    find_key: Callable[[int], bytes],
    encode_time: Callable[[datetime], Any],
) -> Iterator[tuple[Any, ...]]:
    """Yield a tuple of ``_COLUMNS`` per value, with a patient's values together."""
    keys = [find_key(subject) for subject in rows[KEY[0]]]
    moments, created = ([encode_time(m) for m in _to_naive_utc(rows[name])] for name in (KEY[1], "created_timestamp"))
    values = to_storable(rows, view.features)

    def list_feature(name: str, dtype: Any) -> Iterator[tuple[Any, ...]]:
        column = values[name]
        stored = encode_values(column.to_list(), dtype)
        return zip(keys, repeat(name), stored, encode_texts(column, dtype), moments, created)

    return chain.from_iterable(zip(*(list_feature(f.name, f.dtype) for f in view.features), strict=True))


def _to_naive_utc(moments: pl.Series) -> list[datetime]:
    return moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_list()
