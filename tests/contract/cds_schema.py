"""The answers of CDS Hooks 2.0 as JSON Schema, written from the specification's tables (https://cds-hooks.hl7.org/2.0/).

Strict: no member that the specification does not name, no null, nothing empty but ``cards`` and ``services``.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

TEXT = {"type": "string", "minLength": 1}
URL = {"type": "string", "pattern": r"^https?://\S+$"}
UUID = {"type": "string", "format": "uuid"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None, **rules: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
        "minProperties": 1,
    } | rules


def _list(items: dict[str, Any], least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


CODING = _object({"system": TEXT, "code": TEXT}, {"display": TEXT})
SOURCE = _object({"label": TEXT}, {"url": URL, "icon": URL, "topic": CODING})
ACTION = _object(
    {"type": {"enum": ["create", "update", "delete"]}, "description": TEXT},
    {
        "resource": {"type": "object", "required": ["resourceType"]},
        "resourceId": TEXT | {"pattern": r"^[A-Z]\w+/[\w.\-]+$"},
    },
    allOf=[
        {
            "if": {"properties": {"type": {"const": "delete"}}},
            "then": {"required": ["resourceId"]},
            "else": {"required": ["resource"]},
        }
    ],
)
SUGGESTION = _object(
    {"label": TEXT}, {"uuid": UUID, "isRecommended": {"type": "boolean"}, "actions": _list(ACTION)}
)  # fmt: skip
LINK = _object(
    {"label": TEXT, "url": URL, "type": {"enum": ["absolute", "smart"]}},
    {"appContext": TEXT, "autolaunchable": {"type": "boolean"}},
    allOf=[{"if": {"required": ["appContext"]}, "then": {"properties": {"type": {"const": "smart"}}}}],
)
CARD = _object(
    {"summary": TEXT | {"maxLength": 139}, "indicator": {"enum": ["info", "warning", "critical"]}, "source": SOURCE},
    {
        "uuid": UUID,
        "detail": TEXT,
        "suggestions": _list(SUGGESTION),
        "selectionBehavior": {"enum": ["at-most-one", "any"]},
        "overrideReasons": _list(_object({"system": TEXT, "code": TEXT, "display": TEXT})),
        "links": _list(LINK),
    },
    dependentRequired={"suggestions": ["selectionBehavior"]},
)
RESPONSE = _object({"cards": _list(CARD, least=0)}, {"systemActions": _list(ACTION)})
SERVICE = _object(
    {
        "hook": {"type": "string", "pattern": "^[a-z]+(-[a-z]+)+$"},
        "description": TEXT,
        "id": {"pattern": r"^[\w.\-]+$"},
    },
    {"title": TEXT, "prefetch": {"type": "object", "minProperties": 1}, "usageRequirements": TEXT},
)
DISCOVERY = _object({"services": _list(SERVICE, least=0)})


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    """Where ``value`` breaks the rules, each place with what is wrong."""
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
