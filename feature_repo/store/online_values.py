"""Read a patient's stored values of all groups by one query.

Feast's ``get_online_features`` queries view by view and builds a response of messages around each value; for one
patient that takes fifty times as long as reading the bytes. Here the query is ours, the rest Feast's
(``feast_internals``). Both give the same for every patient and store
(``tests/unit/pipelines/features/online/test_online_stores.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from feast import FeatureStore, FeatureView

from feature_repo.store import feast_internals
from feature_repo.store.feast_internals import decode_value, encode_key, encode_redis_key
from feature_repo.store.services import SERVICE

#: A patient's stored values by feature; features without a stored row are left out.
Values = dict[str, Any]
ReadValues = Callable[[int], Values]


def build_reader(store: FeatureStore) -> ReadValues:
    """Build a function that reads a patient's values over a connection that stays open.

    It raises what the store's driver raises; a store of another type raises ``NotImplementedError`` here.
    """
    kind = feast_internals.read_store_type(store)
    if kind not in _READERS:
        raise NotImplementedError(f"no way to read from an online store of type {kind}")
    return _READERS[kind](store, list_service_views(store))


def list_service_views(store: FeatureStore) -> list[FeatureView]:
    """List the registered views of the service."""
    projections = store.get_feature_service(SERVICE).feature_view_projections
    return [store.get_feature_view(projection.name) for projection in projections]


def _build_sqlite_reader(store: FeatureStore, views: list[FeatureView]) -> ReadValues:
    connection = feast_internals.open_sqlite(store)
    tables = [feast_internals.name_table(store, view) for view in views]
    query = " UNION ALL ".join(f'SELECT feature_name, value FROM "{table}" WHERE entity_key = ?1' for table in tables)

    def read(subject: int) -> Values:
        return _decode(connection.execute(query, (encode_key(store, subject),)).fetchall())

    return read


def _build_postgres_reader(store: FeatureStore, views: list[FeatureView]) -> ReadValues:
    from psycopg import sql

    one = sql.SQL("SELECT feature_name, value FROM {} WHERE entity_key = %(key)s")
    tables = [feast_internals.name_table(store, view) for view in views]
    query = sql.SQL(" UNION ALL ").join(one.format(sql.Identifier(table)) for table in tables)
    text = query.as_string(None)  # connecting may hang: the caller limits that

    def read(subject: int) -> Values:
        connection = feast_internals.open_postgres(store, autocommit=True)
        with connection as opened, opened.cursor(binary=True) as cursor:
            return _decode(cursor.execute(text, {"key": encode_key(store, subject)}).fetchall())

    return read


def _build_redis_reader(store: FeatureStore, views: list[FeatureView]) -> ReadValues:
    client = feast_internals.open_redis(store)
    names = [(view.name, field.name) for view in views for field in view.features]
    fields = [feast_internals.name_redis_field(view, name) for view, name in names]

    def read(subject: int) -> Values:
        found = client.hmget(encode_redis_key(store, subject), fields)
        return _decode((name, value) for (_, name), value in zip(names, found, strict=True) if value is not None)

    return read


_READERS: dict[str, Callable[[FeatureStore, list[FeatureView]], ReadValues]] = {
    "sqlite": _build_sqlite_reader,
    "postgres": _build_postgres_reader,
    "redis": _build_redis_reader,
}


def _decode(rows: Iterable[tuple[str, bytes]]) -> Values:
    return {name: decode_value(data) for name, data in rows}
