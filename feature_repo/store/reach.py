"""Ask whether the server of an online store's setting answers, filled or not."""

from __future__ import annotations

from urllib.parse import urlsplit

from feature_repo.store.online import StoreDownError
from feature_repo.store.online_stores import COMMAND_S, describe_store


def reach_server(setting: str) -> None:
    """Connect to the server and sign in; SQLite has none.

    Raises :class:`StoreDownError` without an answer or a driver, ``ValueError`` for a setting that is none.
    """
    store = describe_store(setting)
    try:
        if store["type"] == "redis":
            from redis import Redis

            timeouts = {"socket_timeout": COMMAND_S, "socket_connect_timeout": COMMAND_S}
            with Redis.from_url(setting, **timeouts) as client:
                client.ping()
        elif store["type"] == "postgres":
            import psycopg

            named = {name: store[name] for name in ("host", "port", "user", "password", "sslmode")}
            psycopg.connect(**named, dbname=store["database"], connect_timeout=COMMAND_S).close()
    except Exception as error:  # whatever a driver raises; its message may name the user
        missing = isinstance(error, ImportError)
        why = f"pmlm[{urlsplit(setting).scheme}] is not installed" if missing else type(error).__name__
        raise StoreDownError(f"the online store does not answer: {why}") from error
