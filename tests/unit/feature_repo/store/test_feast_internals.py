"""One module reaches into Feast, and a test fails clearly when Feast changes that."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import feast
import pytest
from feast import FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores import helpers, sqlite
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.types import Array, FeastType, Float64, Int64, String, UnixTimestamp

from feature_repo.store import feast_internals
from pmlm.settings import PROJECT

ADVICE = "Feast has changed: read its release notes, then adjust feature_repo/store/feast_internals.py and FEAST"
PRIVATE = {"_get_provider", "_get_conn", "_get_client"}
ADAPTER = "feature_repo/store/feast_internals.py"


def _load_drivers() -> list[tuple[Callable[..., Any], list[str]]]:
    found: list[tuple[Callable[..., Any], list[str]]] = []
    try:
        from feast.infra.online_stores.redis import RedisOnlineStore

        found.append((RedisOnlineStore._get_client, ["self", "online_store_config"]))
    except ImportError:
        pass
    try:
        from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore

        found.append((PostgreSQLOnlineStore._get_conn, ["self", "config", "autocommit"]))
    except ImportError:
        pass
    return found


def test_the_installed_feast_is_the_one_that_the_adapter_was_written_for() -> None:
    assert feast.__version__ == feast_internals.FEAST, ADVICE


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (FeatureStore._get_provider, ["self"]),
        (SqliteOnlineStore._get_conn, ["self", "config"]),
        (helpers._mmh3, ["key"]),
        (helpers._redis_key, ["project", "entity_key", "entity_key_serialization_version"]),
        (helpers.compute_table_id, ["project", "table", "enable_versioning"]),
        (serialize_entity_key, ["entity_key", "entity_key_serialization_version"]),
        (sqlite.adapt_datetime_epoch, ["val"]),
        *_load_drivers(),
    ],
)
def test_feast_still_has_each_internal_with_these_parameters(
    function: Callable[..., Any], parameters: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == parameters, ADVICE


def test_keys_and_fields_are_those_that_clinics_have_stored() -> None:
    """A changed encoding would make every stored row unreadable, silently."""

    class Store:
        project = "pmlm"
        config = type("Config", (), {"entity_key_serialization_version": 3})

    store: Any = Store()
    key = "01000000020000000a0000007375626a6563745f696404000000080000002a00000000000000"
    assert feast_internals.encode_key(store, 42).hex() == key, ADVICE
    assert feast_internals.encode_redis_key(store, 42).hex() == key + b"pmlm".hex(), ADVICE
    assert feast_internals.name_redis_field("labs", "hba1c_latest").hex() == "69798f1b", ADVICE
    assert feast_internals.name_table(store, type("View", (), {"name": "labs"})) == "pmlm_labs", ADVICE


@pytest.mark.parametrize(
    ("dtype", "value", "stored", "read"),
    [
        (Int64, -3, None, -3),
        (Float64, 0.5, None, 0.5),
        (String, "Ω", None, "Ω"),
        (String, None, b"", None),
        (UnixTimestamp, 0, None, datetime(1970, 1, 1, tzinfo=UTC)),
        (UnixTimestamp, feast_internals.NO_TIME, None, None),
        (Array(String), [], None, []),
        (Array(UnixTimestamp), [60, feast_internals.NO_TIME], None, [datetime(1970, 1, 1, 0, 1, tzinfo=UTC), None]),
    ],
)
def test_a_value_is_decoded_to_what_was_encoded(dtype: FeastType, value: Any, stored: bytes | None, read: Any) -> None:
    [data] = feast_internals.encode_values([value], dtype)
    assert stored is None or data == stored
    assert feast_internals.decode_value(data) == read


def test_no_other_module_reaches_into_feast() -> None:
    reaching = []
    for folder in ("bentos", "dags", "feature_repo", "models", "pipelines", "pmlm"):
        for path in (PROJECT / folder).rglob("*.py"):
            name = str(path.relative_to(PROJECT))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                module = getattr(node, "module", None) or ""
                inside = isinstance(node, ast.ImportFrom) and module.startswith("feast.") and module != "feast.types"
                if inside or (isinstance(node, ast.Attribute) and node.attr in PRIVATE):
                    reaching.append(name)
    assert set(reaching) == {ADAPTER}
