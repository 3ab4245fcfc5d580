"""Read Bundles and JSON arrays entry by entry, from one line or a large document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import orjson

from pipelines.records.read.document_keys import find_document_keys
from pipelines.records.read.identity import ID_PATTERN, parse_reference
from pipelines.records.read.json_keys import find_repeated_key
from pipelines.records.read.json_splitter import find_document_type, split_entries
from pipelines.records.read.raw_resource import BYTE_ORDER_MARK, RawResource, Resource, ResourceError, parse_json

#: Elements that may change the meaning of all below them, with the rule that refuses them.
MODIFIERS = {"modifierExtension": "modifier_extension", "implicitRules": "implicit_rules"}


def expand_bundle(value: Any, file: str, line: int) -> Iterator[RawResource]:
    """Yield the resources of a parsed Bundle or list that stood on one line."""
    items = value if isinstance(value, list) else value.get("entry", [])
    if not isinstance(items, list):
        error = ResourceError("wrong_type", "Bundle.entry is no list")
        yield RawResource(file, line, orjson.dumps(items), error=error)
        return
    marks = {} if isinstance(value, list) else {key: True for key in MODIFIERS if value.get(key)}
    aliases = _find_aliases(items)
    for position, item in enumerate(items, start=1):
        for raw in _read_entry(_mark_entry(item, marks), b"", file, line, position):
            if aliases and raw.resource is not None:
                _replace_references(raw.resource, aliases)
            yield raw


def stream_entries(stream: IO[bytes], file: str, limit: int, skipped: list[str]) -> Iterator[RawResource]:
    """Yield the resources of a multi-line JSON document: Bundle, array or single resource.

    One entry at a time is in memory (the whole document where it is a single resource). Of a truncated document
    the entries before the break count; the rest counts as one broken resource.
    """
    kind = find_document_type(stream, limit)
    stream.seek(0)
    if kind not in ("", "Bundle"):  # a List has entries too
        document = stream.read(limit + 1)
        if len(document) > limit:
            yield RawResource(file, 1, b"", error=ResourceError("line_too_long", "the document is too long"), entry=1)
        else:
            yield from _read_single(document, file, skipped)
        return
    aliases, marks = dict[str, str](), dict.fromkeys(find_document_keys(stream, MODIFIERS), True)
    stream.seek(0)
    for _, data, listed in split_entries(stream, limit):
        if data and listed and b'"fullUrl"' in data:
            aliases.update(_find_aliases([parse_json(data)]))
    stream.seek(0)
    for position, (line, data, listed) in enumerate(split_entries(stream, limit), start=1):
        if data is None:
            error = ResourceError("line_too_long", "the entry is too long")
            yield RawResource(file, line, b"", error=error, entry=position)
        elif not listed:
            yield from _read_single(data, file, skipped)
        elif (value := parse_json(data)) is None:
            error = ResourceError("invalid_json", "the entry is not valid JSON, or the document ends inside it")
            yield RawResource(file, line, data, error=error, entry=position)
        elif key := find_repeated_key(data, value):
            error = ResourceError("duplicate_key", f"{key} is there twice")
            yield RawResource(file, line, data, error=error, entry=position)
        else:
            for raw in _read_entry(_mark_entry(value, marks), b"" if marks else data, file, line, position):
                if aliases and raw.resource is not None:
                    _replace_references(raw.resource, aliases)
                yield raw


def _read_single(document: bytes, file: str, skipped: list[str]) -> Iterator[RawResource]:
    document = document.removeprefix(BYTE_ORDER_MARK)
    value = parse_json(document)
    if value is None:
        yield RawResource(file, 1, document, error=ResourceError("invalid_json", "the document is not valid JSON"))
    elif key := find_repeated_key(document, value):
        yield RawResource(file, 1, document, error=ResourceError("duplicate_key", f"{key} is there twice"))
    elif not isinstance(value, dict) or "resourceType" not in value:
        skipped.append(file)
    elif value["resourceType"] != "Bundle":  # a Bundle without entries holds no resource
        yield RawResource(file, 1, b"", resource=value)


def _read_entry(item: Any, data: bytes, file: str, line: int, position: int) -> Iterator[RawResource]:
    """Yield the resources of one entry; an entry may request a deletion."""
    if not isinstance(item, dict):
        error = ResourceError("not_an_object", "the entry is no object")
        yield RawResource(file, line, data or orjson.dumps(item), error=error, entry=position)
        return
    resource = item if "resourceType" in item else item.get("resource")
    if refused := find_entry_error(item):
        yield RawResource(file, line, data or orjson.dumps(item), error=refused, entry=position)
    elif resource is not item and _requests_deletion(item):
        yield _read_entry_without_resource(item, file, line, position)
    elif isinstance(resource, dict) and resource.get("resourceType") == "Bundle":
        yield from expand_bundle(resource, file, line)
    elif isinstance(resource, dict):
        _set_id_from_full_url(resource, item.get("fullUrl"))
        _set_version(resource, item)
        yield RawResource(file, line, b"", resource=resource, entry=position)
    elif resource is not None:
        error = ResourceError("wrong_type", "entry.resource is no object")
        yield RawResource(file, line, data or orjson.dumps(item), error=error, entry=position)
    else:
        yield _read_entry_without_resource(item, file, line, position)


def _mark_entry(item: Any, marks: dict[str, bool]) -> Any:
    """The entry with what may change the meaning of its whole Bundle, so that it is refused alone and stays so."""
    return item | marks if marks and isinstance(item, dict) else item


def find_entry_error(item: dict[str, Any]) -> ResourceError | None:
    """Why a Bundle's entry is refused whatever its resource is, or None."""
    found = None if "resourceType" in item else next((key for key in MODIFIERS if item.get(key)), None)
    reason = f"{found} of the Bundle or its entry is not understood"
    return ResourceError(MODIFIERS[found], reason) if found else None


def _read_entry_without_resource(item: dict[str, Any], file: str, line: int, position: int) -> RawResource:
    if _requests_deletion(item):
        kind, ident = parse_reference(str(item["request"].get("url", "")))
        if not kind or not ID_PATTERN.fullmatch(ident):
            error = ResourceError("bad_reference", "request.url of a deletion names no single resource")
            return RawResource(file, line, orjson.dumps(item), error=error, entry=position)
        gone: Resource = {"resourceType": kind, "id": ident}
        _set_version(gone, item)
        return RawResource(file, line, b"", gone, entry=position, deleted=True)
    return RawResource(file, line, b"", resource={"resourceType": "(entry without resource)"}, entry=position)


def _requests_deletion(item: dict[str, Any]) -> bool:
    request = item.get("request")
    return isinstance(request, dict) and request.get("method") == "DELETE"


def _set_version(resource: Resource, item: dict[str, Any]) -> None:
    """Set a missing ``meta`` to the version that a history's ``response`` states."""
    response = item.get("response")
    if "meta" in resource or not isinstance(response, dict):
        return
    stated = {"lastUpdated": response.get("lastModified"), "versionId": _strip_etag(response.get("etag"))}
    if meta := {key: value for key, value in stated.items() if isinstance(value, str)}:
        resource["meta"] = meta


def _strip_etag(etag: Any) -> str | None:
    """The version in an entity tag (``W/"2"``)."""
    return etag.removeprefix("W/").strip('"') if isinstance(etag, str) else None


def _set_id_from_full_url(resource: Resource, full_url: Any) -> None:
    """Set a missing id to the last part of ``fullUrl``, as transactions do."""
    if "id" not in resource and isinstance(full_url, str):
        _, ident = parse_reference(full_url)
        if ID_PATTERN.fullmatch(ident):
            resource["id"] = ident


def _find_aliases(items: list[Any]) -> dict[str, str]:
    """``fullUrl`` → ``Type/id`` where the two differ, so that both references name one resource."""
    aliases = {}
    for item in items:
        full_url, resource = (item.get("fullUrl"), item.get("resource")) if isinstance(item, dict) else (None, None)
        if not isinstance(full_url, str) or not isinstance(resource, dict):
            continue
        ident = resource.get("id")
        if isinstance(ident, str) and parse_reference(full_url)[1] != ident:
            aliases[full_url] = f"{resource.get('resourceType')}/{ident}"
    return aliases


def _replace_references(value: Any, aliases: dict[str, str]) -> None:
    """Replace references that use an alias, in place."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference in aliases:
            value["reference"] = aliases[reference]
        for inner in value.values():
            _replace_references(inner, aliases)
    elif isinstance(value, list):
        for inner in value:
            _replace_references(inner, aliases)
