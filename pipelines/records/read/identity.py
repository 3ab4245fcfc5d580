"""Identify resources: the (type, id) of references, keyed hashes of contents and rows."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import orjson

from pipelines.records.read.fhir_time import Micros, parse_time
from pipelines.records.read.raw_resource import Resource
from pmlm.settings import Settings

ID_PATTERN = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFERENCE = re.compile(
    r"#[A-Za-z0-9\-.]{0,64}"
    r"|urn:uuid:[0-9A-Fa-f\-]{32,36}|urn:oid:[0-9.]{3,128}"
    r"|(?:https?://\S{1,512}/)?[A-Z][A-Za-z]{2,40}/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
    r"|[A-Z][A-Za-z]{2,40}\?\S{1,512}"
    r"|[A-Za-z0-9\-.]{1,64}"
)
#: Exports stamp these on every run, and neither is read: two resources that differ only here are one version.
_NOT_CONTENT = ("meta", "text")


def is_reference(text: str) -> bool:
    """Whether the text is a FHIR literal reference or a bare id."""
    return _REFERENCE.fullmatch(text) is not None


def parse_reference(text: str) -> tuple[str | None, str]:
    """``(type, id)`` of a reference; the type is None where it names none."""
    base = text.split("/_history/", 1)[0]
    if base.startswith("urn:"):
        return None, base.rsplit(":", 1)[-1]
    head, _, ident = base.rpartition("/")
    kind = head.rpartition("/")[-1]
    return (kind or None), ident


def read_reference(element: Resource | None) -> tuple[str | None, str] | None:
    """``(type, id)`` of a Reference element; None where it has no literal reference."""
    if element is None or "reference" not in element:
        return None
    kind, ident = parse_reference(element["reference"])
    return (kind or element.get("type")), ident


def hash_patient(settings: Settings, ident: str) -> int:
    """The subject id of a patient whom a record names: no text of a record names a subject by its number."""
    return settings.pseudonym("Patient", ident.rsplit("/", 1)[-1].removeprefix("urn:uuid:"))


def read_version(resource: Resource) -> tuple[Micros, int]:
    """(``meta.lastUpdated`` in microseconds, a numeric ``meta.versionId``), each 0 where it is not given."""
    meta = resource.get("meta")
    if not isinstance(meta, dict):
        return 0, 0
    updated, version = meta.get("lastUpdated"), meta.get("versionId")
    number = int(version) if isinstance(version, str) and version.isdecimal() and len(version) < 18 else 0
    return (parse_time(updated) or 0) if isinstance(updated, str) else 0, number


def hash_content(settings: Settings, resource: Resource) -> str:
    """24 hex digits over the resource's content, independent of key order and spacing."""
    content = resource.copy()
    for key in _NOT_CONTENT:
        content.pop(key, None)
    return _hexdigest(settings, orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def hash_row(settings: Settings, night: str, file: str, line: int, entry: int, text: bytes) -> str:
    """24 hex digits that identify one line of one drop, including its text."""
    where = f"{night}\x1f{file}\x1f{line}\x1f{entry}\x1f".encode()
    return _hexdigest(settings, where + text)


def _hexdigest(settings: Settings, data: bytes) -> str:
    hashed = _start_hash(settings.hash_key[:64]).copy()
    hashed.update(data)
    return hashed.hexdigest()


@lru_cache(maxsize=4)
def _start_hash(key: bytes) -> blake2b:
    """The hash state after the key, which costs as much as a short content."""
    return blake2b(key=key, digest_size=12)
