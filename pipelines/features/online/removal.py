"""Remove patients' rows from the online store, through Feast's own keys and tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from feast import FeatureStore

from feature_repo.store import feast_internals, feast_store
from feature_repo.store.services import find_groups
from pipelines.features.online import materialise
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json


def remove_patients(settings: Settings, subjects: Iterable[int]) -> int:
    """Remove the patients from the served store; return the rows (of Redis: the hashes) that were removed.

    ``FeaturesError`` where the store's server does not answer.
    """
    if not (settings.feast / feast_store.CONFIG).exists():
        return 0
    with materialise.explain_silence(settings):
        store = feast_store.open_store(settings.feast)
        kind = feast_internals.read_store_type(store)
        return _REMOVERS[kind](store, sorted(subjects))


def has_taken_all(settings: Settings) -> bool:
    """Whether the store has what the feature files have, as far as the last night says."""
    path = settings.feast / materialise.TAKEN
    return path.exists() and read_json(path)["files"] == materialise.hash_feature_files(settings)


def take_rewritten_files(settings: Settings) -> None:
    """Note that a store that had all has what the rewritten files have, so that the next night writes what is new."""
    path = settings.feast / materialise.TAKEN
    write_json(path, read_json(path) | {"files": materialise.hash_feature_files(settings)})


def _remove_from_sqlite(store: FeatureStore, subjects: list[int]) -> int:
    connection: sqlite3.Connection = feast_internals.open_sqlite(store)
    connection.execute("PRAGMA secure_delete = ON")
    keys = [(feast_internals.encode_key(store, subject),) for subject in subjects]
    with connection:
        known = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        tables = [table for table in _list_tables(store) if table in known]
        removed = sum(
            connection.executemany(f'DELETE FROM "{table}" WHERE entity_key = ?', keys).rowcount for table in tables
        )
    connection.execute("VACUUM")  # what earlier versions deleted without overwriting it
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return removed


def _remove_from_postgres(store: FeatureStore, subjects: list[int]) -> int:
    from psycopg import sql

    keys, removed = [feast_internals.encode_key(store, subject) for subject in subjects], 0
    with feast_internals.open_postgres(store, autocommit=True) as opened:
        known = {name for (name,) in opened.execute("SELECT tablename FROM pg_tables")}
        for table in (sql.Identifier(name) for name in _list_tables(store) if name in known):
            done = opened.execute(sql.SQL("DELETE FROM {} WHERE entity_key = ANY(%s)").format(table), [keys])
            removed += done.rowcount
            opened.execute(sql.SQL("VACUUM {}").format(table))
    return removed


def _remove_from_redis(store: FeatureStore, subjects: list[int]) -> int:
    client = feast_internals.open_redis(store)
    return int(client.delete(*(feast_internals.encode_redis_key(store, subject) for subject in subjects)))


def _list_tables(store: FeatureStore) -> list[str]:
    return [feast_internals.name_table(store, store.get_feature_view(group)) for group in find_groups()]


_REMOVERS = {"sqlite": _remove_from_sqlite, "postgres": _remove_from_postgres, "redis": _remove_from_redis}
