"""Bundles and JSON arrays, entry by entry: from a parsed value, or streamed from a document of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import orjson

from pipelines.records.read.json_splitter import split_entries
from pipelines.records.read.raw_resource import RawResource, Resource, ResourceError
from pipelines.records.read.references import ID_PATTERN, parse_reference


def expand_bundle(value: Any, name: str, number: int) -> Iterator[RawResource]:
    """The resources of a parsed Bundle or list that stood on one line."""
    items = value if isinstance(value, list) else value.get("entry", [])
    if not isinstance(items, list):
        yield RawResource(
            name, number, orjson.dumps(items), broken=ResourceError("wrong_type", "Bundle.entry is no list")
        )
        return
    aliases = _find_aliases(items)
    for position, item in enumerate(items, start=1):
        for line in _read_entry(item, b"", name, number, position):
            if aliases and line.resource is not None:
                _replace_references(line.resource, aliases)
            yield line


def stream_entries(stream: IO[bytes], name: str, limit: int, skipped: list[str]) -> Iterator[RawResource]:
    """The resources of one JSON document over many lines: a Bundle, an array, or a single resource.

    Only one entry is held at a time (the whole document where it is a single resource). A document that
    breaks off keeps the entries before the break; the rest counts as one broken resource.
    """
    renamed: dict[str, str] = {}
    for _, raw, listed in split_entries(stream, limit):
        if raw and listed and b'"fullUrl"' in raw:
            renamed.update(_find_aliases([_parsed(raw)]))
    stream.seek(0)
    for position, (number, raw, listed) in enumerate(split_entries(stream, limit), start=1):
        if raw is None:
            yield RawResource(
                name, number, b"", broken=ResourceError("line_too_long", "the entry is too long"), entry=position
            )
        elif not listed:
            yield from _read_single(raw, name, skipped)
        elif (value := _parsed(raw)) is None:
            broken = ResourceError("invalid_json", "the entry is not valid JSON, or the document ends inside it")
            yield RawResource(name, number, raw, broken=broken, entry=position)
        else:
            for line in _read_entry(value, raw, name, number, position):
                if renamed and line.resource is not None:
                    _replace_references(line.resource, renamed)
                yield line


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _read_single(whole: bytes, name: str, skipped: list[str]) -> Iterator[RawResource]:
    value = _parsed(whole)
    if value is None:
        yield RawResource(name, 1, whole, broken=ResourceError("invalid_json", "the document is not valid JSON"))
    elif not isinstance(value, dict) or "resourceType" not in value:
        skipped.append(name)
    elif value["resourceType"] != "Bundle":  # a Bundle without entries holds no resource
        yield RawResource(name, 1, b"", resource=value)


def _read_entry(item: Any, raw: bytes, name: str, number: int, position: int) -> Iterator[RawResource]:
    """The resource of one entry: itself in an array, its ``resource`` in a Bundle, or a request to delete."""
    if not isinstance(item, dict):
        held = raw or orjson.dumps(item)
        yield RawResource(
            name, number, held, broken=ResourceError("not_an_object", "the entry is no object"), entry=position
        )
        return
    resource = item if "resourceType" in item else item.get("resource")
    if isinstance(resource, dict) and resource.get("resourceType") == "Bundle":
        yield from expand_bundle(resource, name, number)
    elif isinstance(resource, dict):
        _set_id_from_full_url(resource, item.get("fullUrl"))
        yield RawResource(name, number, b"", resource=resource, entry=position)
    elif resource is not None:
        held = raw or orjson.dumps(item)
        yield RawResource(
            name, number, held, broken=ResourceError("wrong_type", "entry.resource is no object"), entry=position
        )
    else:
        yield _read_entry_without_resource(item, name, number, position)


def _read_entry_without_resource(item: dict[str, Any], name: str, number: int, position: int) -> RawResource:
    request = item.get("request")
    if isinstance(request, dict) and request.get("method") == "DELETE":
        kind, ident = parse_reference(str(request.get("url", "")))
        if kind and ident:
            return RawResource(name, number, b"", {"resourceType": kind, "id": ident}, entry=position, deleted=True)
    return RawResource(name, number, b"", resource={"resourceType": "(entry without resource)"}, entry=position)


def _set_id_from_full_url(resource: Resource, full_url: Any) -> None:
    """Give a resource without id the last part of its ``fullUrl``: transactions name new resources so."""
    if "id" not in resource and isinstance(full_url, str):
        _, ident = parse_reference(full_url)
        if ID_PATTERN.fullmatch(ident):
            resource["id"] = ident


def _find_aliases(items: list[Any]) -> dict[str, str]:
    """``fullUrl`` → ``Type/id`` where the two differ, so that references by either meet."""
    found = {}
    for item in items:
        full_url, resource = (item.get("fullUrl"), item.get("resource")) if isinstance(item, dict) else (None, None)
        if not isinstance(full_url, str) or not isinstance(resource, dict):
            continue
        ident = resource.get("id")
        if isinstance(ident, str) and parse_reference(full_url)[1] != ident:
            found[full_url] = f"{resource.get('resourceType')}/{ident}"
    return found


def _replace_references(value: Any, aliases: dict[str, str]) -> None:
    """Replace references that go by an alias, in place."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference in aliases:
            value["reference"] = aliases[reference]
        for inner in value.values():
            _replace_references(inner, aliases)
    elif isinstance(value, list):
        for inner in value:
            _replace_references(inner, aliases)
