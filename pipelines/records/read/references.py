"""FHIR references in their usual forms, reduced to (type, id)."""

from __future__ import annotations

import re

from pipelines.records.read.raw_resource import Resource

ID_PATTERN = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFERENCE = re.compile(
    r"#[A-Za-z0-9\-.]{0,64}"
    r"|urn:uuid:[0-9A-Fa-f\-]{32,36}|urn:oid:[0-9.]{3,128}"
    r"|(?:https?://\S{1,512}/)?[A-Z][A-Za-z]{2,40}/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
    r"|[A-Z][A-Za-z]{2,40}\?\S{1,512}"
    r"|[A-Za-z0-9\-.]{1,64}"
)


def is_reference(reference: str) -> bool:
    """Whether the text has one of the shapes of a FHIR literal reference (or a bare id)."""
    return _REFERENCE.fullmatch(reference) is not None


def parse_reference(reference: str) -> tuple[str | None, str]:
    """``(type, id)`` of a reference; the type is None where the reference does not say (``urn:uuid:…``, bare id)."""
    base = reference.split("/_history/", 1)[0]
    if base.startswith("urn:"):
        return None, base.rsplit(":", 1)[-1]
    head, _, ident = base.rpartition("/")
    kind = head.rpartition("/")[-1]
    return (kind or None), ident


def read_reference(value: Resource | None) -> tuple[str | None, str] | None:
    """``(type, id)`` of a Reference element, its ``type`` counted; None where it has no literal reference."""
    if value is None or "reference" not in value:
        return None
    kind, ident = parse_reference(value["reference"])
    return (kind or value.get("type")), ident
