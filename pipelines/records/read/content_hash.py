"""Keyed content hashes: what tells two versions of a resource apart, and names a line without saying it."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

import orjson

from pipelines.records.read.raw_resource import Resource
from pmlm.settings import Settings

#: Exports stamp these anew each time, and neither is read: two resources that differ only here are one version.
_NOT_CONTENT = ("meta", "text")


def hash_content(settings: Settings, resource: Resource) -> str:
    """24 hex digits over the resource's content, independent of key order and spacing."""
    content = resource.copy()
    for key in _NOT_CONTENT:
        content.pop(key, None)
    return _hexdigest(settings, orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def hash_row(settings: Settings, night: str, file: str, number: int, entry: int, text: bytes) -> str:
    """24 hex digits naming one line of one drop, its text included."""
    where = f"{night}\x1f{file}\x1f{number}\x1f{entry}\x1f".encode()
    return _hexdigest(settings, where + text)


def _hexdigest(settings: Settings, data: bytes) -> str:
    hashed = _start_hash(settings.hash_key[:64]).copy()
    hashed.update(data)
    return hashed.hexdigest()


@lru_cache(maxsize=4)
def _start_hash(key: bytes) -> blake2b:
    """The hash with nothing but the key in it: taking the key in costs as much as a short content."""
    return blake2b(key=key, digest_size=12)
