"""Checks of FHIR elements: each takes a value and its field's name; raises ``ResourceError``.

Only what PMLM reads is checked. Known misses against full FHIR validation: profiles and their slices, terminology
beyond the status code sets, cardinality and invariants of fields that are not read, unknown extra fields,
null members of a Coding (read as absent), narrative, extensions, and
whether a referenced resource exists (patients excepted).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.records.read.fhir_time import parse_time
from pipelines.records.read.identity import is_reference
from pipelines.records.read.raw_resource import ResourceError

Check = Callable[[Any, str], None]


def check_text(value: Any, name: str) -> None:
    if not isinstance(value, str):
        raise ResourceError("wrong_type", f"{name} is no string")
    if not value.strip():
        raise ResourceError("wrong_type", f"{name} is empty")


def check_boolean(value: Any, name: str) -> None:
    if not isinstance(value, bool):
        raise ResourceError("wrong_type", f"{name} is no boolean")


def check_integer(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ResourceError("wrong_type", f"{name} is no integer")


def check_number(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResourceError("wrong_type", f"{name} is no number")


def check_date_time(value: Any, name: str) -> None:
    """A FHIR date, dateTime or instant, possibly partial."""
    check_text(value, name)
    if parse_time(value) is None:
        raise ResourceError("bad_date", f"{name} is no FHIR date or time")


def check_one_of(*codes: str) -> Check:
    """Make a check of a code against a fixed value set."""
    allowed = frozenset(codes)

    def check(value: Any, name: str) -> None:
        check_text(value, name)
        if value not in allowed:
            raise ResourceError("bad_code", f"{name} is not in its value set")

    return check


check_comparator = check_one_of("<", "<=", ">=", ">", "ad")


def check_modifiers(value: dict[str, Any], name: str) -> None:
    """No extension that may change the meaning of the element around it: PMLM understands none."""
    if value.get("modifierExtension"):
        where = f"{name}.modifierExtension" if name else "modifierExtension"
        raise ResourceError("modifier_extension", f"{where} may change the meaning and is not understood")


def check_coding(value: Any, name: str) -> None:
    if not isinstance(value, dict):
        raise ResourceError("wrong_type", f"{name} is no Coding")
    for key in ("system", "code", "display"):
        if value.get(key) is not None:  # exporters write null for a display they lack
            check_text(value[key], f"{name}.{key}")


def check_concept(value: Any, name: str) -> None:
    """A CodeableConcept with at least a text or one coding with a code."""
    if not isinstance(value, dict):
        raise ResourceError("wrong_type", f"{name} is no CodeableConcept")
    codings = value.get("coding", [])
    if not isinstance(codings, list):
        raise ResourceError("wrong_type", f"{name}.coding is no list")
    for item in codings:
        check_coding(item, f"{name}.coding")
    if "text" in value:
        check_text(value["text"], f"{name}.text")
    elif not any("code" in c or "display" in c for c in codings):
        raise ResourceError("missing_field", f"{name} has neither a code nor a text")


def check_reference(value: Any, name: str) -> None:
    if not isinstance(value, dict):
        raise ResourceError("wrong_type", f"{name} is no Reference")
    for key in ("reference", "type", "display"):
        if key in value:
            check_text(value[key], f"{name}.{key}")
    if "reference" in value and not is_reference(value["reference"]):
        raise ResourceError("bad_reference", f"{name}.reference has no shape of a FHIR reference")


def check_period(value: Any, name: str) -> None:
    if not isinstance(value, dict):
        raise ResourceError("wrong_type", f"{name} is no Period")
    for key in ("start", "end"):
        if key in value:
            check_date_time(value[key], f"{name}.{key}")


def check_quantity(value: Any, name: str) -> None:
    if not isinstance(value, dict):
        raise ResourceError("wrong_type", f"{name} is no Quantity")
    if "value" in value:
        check_number(value["value"], f"{name}.value")
    for key in ("unit", "code", "system"):
        if key in value:
            check_text(value[key], f"{name}.{key}")
    if "comparator" in value:
        check_comparator(value["comparator"], f"{name}.comparator")


def accept_anything(value: Any, name: str) -> None:
    """Any value: only that the field is there matters."""


def check_each(check: Check) -> Check:
    """Make a check of every element of a list."""

    def check_all(value: Any, name: str) -> None:
        if not isinstance(value, list):
            raise ResourceError("wrong_type", f"{name} is no list")
        for item in value:
            check(item, name)

    return check_all


def check_object(required: tuple[str, ...] = (), /, **fields: Check) -> Check:
    """Make a check of a nested element, of which only ``fields`` are read."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise ResourceError("wrong_type", f"{name} is no object")
        check_modifiers(value, name)
        for key in required:
            if key not in value:
                raise ResourceError("missing_field", f"{name}.{key} is missing")
        for key, inner in fields.items():
            if key in value:
                inner(value[key], f"{name}.{key}")

    return check
