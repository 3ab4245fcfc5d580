"""Translate the online store's setting into Feast's configuration.

The setting is ``sqlite``, ``redis://…``, ``rediss://…`` (over TLS) or ``postgresql://…``. Postgres takes ``?sslmode=``
(libpq's, default ``prefer``) and ``?schema=`` (default ``public``). Passwords and user names are percent-encoded as in
any URL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from feature_repo.store.feast_store import SQLITE

#: Timeout of a Redis command in seconds: no connection outlives its request by more.
COMMAND_S = 2


def describe_store(setting: str) -> Mapping[str, Any]:
    """Return Feast's ``online_store`` section for a setting; ``ValueError`` for an unknown one.

    The message never contains the setting, which may contain a password.
    """
    if setting == "sqlite":
        return SQLITE
    url = urlsplit(setting)
    if url.scheme in ("redis", "rediss"):
        return _describe_redis(url)
    if url.scheme in ("postgres", "postgresql"):
        return _describe_postgres(url)
    raise ValueError("the online store is none of sqlite, redis://HOST:PORT/DB, postgresql://USER:PASSWORD@HOST/NAME")


def redact_setting(setting: str) -> str:
    """Return kind, host and port of a setting, without name and password."""
    url = urlsplit(setting)
    return f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "") if url.netloc else setting


def _describe_redis(url: SplitResult) -> Mapping[str, Any]:
    if not url.hostname or ":" in url.hostname:
        raise ValueError("redis:// needs a host name or an IPv4 address")
    database = url.path.strip("/") or "0"
    if not database.isdigit():
        raise ValueError("redis://HOST:PORT/DB: DB is a number")
    options: dict[str, Any] = {
        "db": int(database),
        "ssl": url.scheme == "rediss",
        "socket_timeout": COMMAND_S,
        "socket_connect_timeout": COMMAND_S,
        "retry": None,  # a client that retries on its own keeps a patient waiting for seconds
    }
    options |= {name: unquote(v) for name, v in (("username", url.username), ("password", url.password)) if v}
    parts = [f"{url.hostname}:{url.port or 6379}", *(f"{name}={_quote(value)}" for name, value in options.items())]
    return {"type": "redis", "connection_string": ",".join(parts)}


def _quote(value: Any) -> str:
    """Write a value as JSON without a comma: Feast splits the connection string there."""
    return json.dumps(value).replace(",", "\\u002c")


def _describe_postgres(url: SplitResult) -> Mapping[str, Any]:
    database = url.path.strip("/")
    if not (url.hostname and url.username and database):
        raise ValueError("postgresql://USER:PASSWORD@HOST:PORT/NAME needs a user, a host and a database's name")
    more = {name: values[-1] for name, values in parse_qs(url.query).items()}
    if odd := sorted(set(more) - {"sslmode", "schema"}):
        raise ValueError(f"postgresql://…?{odd[0]}=: only sslmode and schema are understood")
    return {
        "type": "postgres",
        "host": url.hostname,
        "port": url.port or 5432,
        "database": unquote(database),
        "db_schema": more.get("schema", "public"),
        "user": unquote(url.username),
        "password": unquote(url.password or ""),
        "sslmode": more.get("sslmode", "prefer"),
    }
