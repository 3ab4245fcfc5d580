"""Keyed content hashes: what tells two versions of a resource apart, and names a line without saying it."""

from __future__ import annotations

from hashlib import blake2b

import orjson

from pipelines.records.line import Resource
from pipelines.settings import Settings

#: Exports stamp these anew each time, and neither is read: two resources that differ only here are one version.
_NOT_CONTENT = ("meta", "text")


def source_of(settings: Settings, resource: Resource) -> str:
    """24 hex digits over the resource's content, independent of key order and spacing."""
    content = {k: v for k, v in resource.items() if k not in _NOT_CONTENT}
    return blake2b(
        orjson.dumps(content, option=orjson.OPT_SORT_KEYS), key=settings.hash_key[:64], digest_size=12
    ).hexdigest()


def row_id(settings: Settings, night: str, file: str, number: int, entry: int, text: bytes) -> str:
    """24 hex digits naming one line of one drop, its text included."""
    where = f"{night}\x1f{file}\x1f{number}\x1f{entry}\x1f".encode()
    return blake2b(where + text, key=settings.hash_key[:64], digest_size=12).hexdigest()
