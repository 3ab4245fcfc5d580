"""Reach into Feast's internals: the only module that uses what Feast does not publish.

Written for Feast 0.67.0 (``FEAST``). Our reads (``online_values``) and writes (``pipelines.features.online.writes``) of
the online store send statements of their own, many times faster than Feast's. Where and how rows are stored remains
Feast's: its connections, the names of tables and hash fields, a patient's key, the encoding of a value.

``tests/unit/feature_repo/store/test_feast_internals.py`` fails where another Feast changes any of it, and two more
compare rows read and written here with Feast's own (``tests/unit/pipelines/features/online``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cache
from typing import Any

from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _mmh3, _redis_key, compute_table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import NULL_TIMESTAMP_INT_VALUE, VALUE_TYPE_TO_PROTO_VALUE_MAP
from feast.types import Array, FeastType
from google.protobuf.timestamp_pb2 import Timestamp

FEAST = "0.67.0"
#: How Feast stores an unknown time, in seconds; any other unknown value is an empty message.
NO_TIME = int(NULL_TIMESTAMP_INT_VALUE)


def read_store_type(store: FeatureStore) -> str:
    """Return ``sqlite``, ``redis`` or ``postgres``."""
    kind: str = store.config.online_store.type
    return kind


def open_sqlite(store: FeatureStore) -> Any:
    """Return the connection that Feast opens once and keeps."""
    return _get_online_store(store)._get_conn(store.config)


def open_postgres(store: FeatureStore, *, autocommit: bool = False) -> AbstractContextManager[Any]:
    """Open a connection of Feast's pool."""
    connection: AbstractContextManager[Any] = _get_online_store(store)._get_conn(store.config, autocommit=autocommit)
    return connection


def open_redis(store: FeatureStore) -> Any:
    """Return the client that Feast opens once and keeps."""
    return _get_online_store(store)._get_client(store.config.online_store)


def _get_online_store(store: FeatureStore) -> Any:
    return store._get_provider().online_store


def name_table(store: FeatureStore, view: Any) -> str:
    """Return the table of a view in SQLite and Postgres."""
    return compute_table_id(store.project, view)


def name_redis_field(view: str, feature: str) -> bytes:
    """Return the field of a feature in a patient's hash."""
    return _mmh3(f"{view}:{feature}")


def name_redis_time(view: str) -> str:
    """Return the field of a view's event time in a patient's hash."""
    return f"_ts:{view}"


def encode_key(store: FeatureStore, subject: int) -> bytes:
    """Encode a patient's key in SQLite and Postgres."""
    return serialize_entity_key(_build_entity_key(subject), store.config.entity_key_serialization_version)


def encode_redis_key(store: FeatureStore, subject: int) -> bytes:
    """Encode the key of a patient's hash."""
    return _redis_key(store.project, _build_entity_key(subject))


def _build_entity_key(subject: int) -> EntityKey:
    return EntityKey(join_keys=["subject_id"], entity_values=[Value(int64_val=subject)])


def load_sqlite_time_encoder() -> Callable[[datetime], Any]:
    """Return what encodes a naive time for SQLite."""
    from feast.infra.online_stores.sqlite import adapt_datetime_epoch

    return adapt_datetime_epoch


@cache
def encode_redis_time(moment: datetime) -> bytes:
    """Encode an aware time for Redis."""
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(UTC))
    return stamp.SerializeToString()


def encode_values(values: list[Any], dtype: FeastType) -> list[bytes]:
    """Encode values of a declared type: numbers, texts, whole seconds, lists of those, or None."""
    field, message, out = VALUE_TYPE_TO_PROTO_VALUE_MAP[dtype.to_value_type()], Value(), []
    is_list = isinstance(dtype, Array)
    for value in values:
        if value is None:
            out.append(b"")
            continue
        if is_list:
            message.Clear()
            getattr(message, field).val.extend(value)  # also by no element: an empty list is set, not unknown
        else:
            setattr(message, field, value)
        out.append(message.SerializeToString())
    return out


def decode_value(data: bytes) -> Any:
    """Decode a stored value of any feature type, as Feast's own ``to_dict`` does."""
    message = Value.FromString(data)
    kind = message.WhichOneof("val")
    if kind is None:
        return None
    value = getattr(message, kind)
    if kind == "unix_timestamp_val":
        return _to_datetime(value)
    if kind == "unix_timestamp_list_val":
        return [_to_datetime(seconds) for seconds in value.val]
    return list(value.val) if kind.endswith("_list_val") else value


def _to_datetime(seconds: int) -> datetime | None:
    return None if seconds == NO_TIME else datetime.fromtimestamp(seconds, UTC)


def has_row(response: Any) -> bool:
    """Whether ``get_online_features`` of one feature and patient found a row."""
    return bool(response.proto.results[-1].event_timestamps[0].seconds)
