"""One patient's stored values of all groups by a single question to the online store.

Feast's ``get_online_features`` asks view by view and builds a response of messages around each value; for one patient
that takes fifty times as long as reading her bytes. Here Feast still says where and how the rows lie: its opened store
gives the connection, the names of tables and hash fields, the key of a patient and the message of a value. Only the
question is ours, and the test that both give the same for every patient and store
(``tests/unit/pipelines/features/online/test_online_stores.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from feast import FeatureStore, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import NULL_TIMESTAMP_INT_VALUE

from feature_repo.store.services import SERVICE

#: A patient's stored values by feature; features of which the store has no row are left out.
Values = dict[str, Any]
ReadValues = Callable[[int], Values]


def build_reader(store: FeatureStore) -> ReadValues:
    """A function that gives a patient's values, over a connection that stays open.

    It raises what the store's driver raises, and ``NotImplementedError`` comes from here for a store of another type.
    """
    kind = store.config.online_store.type
    if kind not in _ASKERS:
        raise NotImplementedError(f"no way to read from an online store of type {kind}")
    return _ASKERS[kind](store, list_service_views(store))


def list_service_views(store: FeatureStore) -> list[FeatureView]:
    """The views that the service is made of, as registered."""
    projections = store.get_feature_service(SERVICE).feature_view_projections
    return [store.get_feature_view(projection.name) for projection in projections]


def _build_sqlite_reader(store: FeatureStore, views: list[FeatureView]) -> ReadValues:
    connection = driver(store)._get_conn(store.config)
    tables = [compute_table_id(store.project, view) for view in views]
    query = " UNION ALL ".join(f'SELECT feature_name, value FROM "{table}" WHERE entity_key = ?1' for table in tables)

    def ask(subject: int) -> Values:
        return _parse_values(connection.execute(query, (key(store, subject),)).fetchall())

    return ask


def _build_postgres_reader(store: FeatureStore, views: list[FeatureView]) -> ReadValues:
    from psycopg import sql

    online = driver(store)
    one = sql.SQL("SELECT feature_name, value FROM {} WHERE entity_key = %(key)s")
    tables = [compute_table_id(store.project, view) for view in views]
    query = sql.SQL(" UNION ALL ").join(one.format(sql.Identifier(table)) for table in tables)
    text = query.as_string(None)  # connecting may hang: that is the asker's to bound

    def ask(subject: int) -> Values:
        with online._get_conn(store.config, autocommit=True) as opened, opened.cursor(binary=True) as cursor:
            return _parse_values(cursor.execute(text, {"key": key(store, subject)}).fetchall())

    return ask


def _build_redis_reader(store: FeatureStore, views: list[FeatureView]) -> ReadValues:
    client = driver(store)._get_client(store.config.online_store)
    names = [(view.name, field.name) for view in views for field in view.features]
    fields = [_mmh3(f"{view}:{name}") for view, name in names]

    def ask(subject: int) -> Values:
        found = client.hmget(_redis_key(store.project, entity(subject)), fields)
        return _parse_values((name, value) for (_, name), value in zip(names, found, strict=True) if value is not None)

    return ask


_ASKERS: dict[str, Callable[[FeatureStore, list[FeatureView]], ReadValues]] = {
    "sqlite": _build_sqlite_reader,
    "postgres": _build_postgres_reader,
    "redis": _build_redis_reader,
}


def driver(store: FeatureStore) -> Any:
    """Feast's own object for this type of store, which connects once and keeps the connection."""
    return store._get_provider().online_store


def entity(subject: int) -> EntityKey:
    return EntityKey(join_keys=["subject_id"], entity_values=[Value(int64_val=subject)])


def key(store: FeatureStore, subject: int) -> bytes:
    return serialize_entity_key(entity(subject), store.config.entity_key_serialization_version)


def _parse_values(rows: Iterable[tuple[str, bytes]]) -> Values:
    parse = Value.FromString
    return {name: _to_python(parse(data)) for name, data in rows}


def _to_python(value: Value) -> Any:
    """A stored value as Feast's own ``to_dict`` has it, for the types that features may have."""
    kind = value.WhichOneof("val")
    if kind is None:
        return None
    held = getattr(value, kind)
    if kind == "unix_timestamp_val":
        return _to_datetime(held)
    if kind == "unix_timestamp_list_val":
        return [_to_datetime(seconds) for seconds in held.val]
    return list(held.val) if kind.endswith("_list_val") else held


def _to_datetime(seconds: int) -> datetime | None:
    return None if seconds == NULL_TIMESTAMP_INT_VALUE else datetime.fromtimestamp(seconds, UTC)
