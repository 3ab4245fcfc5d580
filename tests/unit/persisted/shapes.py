"""Turn files, schemas and tables into lists of names that can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel
from safetensors import safe_open

MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def json_names(value: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted path of every JSON leaf; list items share one path."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from json_names(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for item in value:
            yield from json_names(item, f"{path}[]")
    else:
        yield path


def names_in(file: Path, what: str = "") -> list[str]:
    """Return the key paths of a JSON file, each prefixed with ``what``."""
    return [f"{what}{name}" for name in json_names(json.loads(file.read_text()))]


def line_names(file: Path) -> list[str]:
    """Return the key paths of the lines of a JSON Lines file."""
    return [name for line in file.read_text().splitlines() for name in json_names(json.loads(line))]


def tensor_names(file: Path) -> Iterator[str]:
    """Yield each tensor of a safetensors file with type and rank, and its metadata keys."""
    with safe_open(file, "np") as opened:
        for name in opened.keys():  # noqa: SIM118 - no mapping
            part = opened.get_slice(name)
            yield f"{name}: {part.get_dtype()} of rank {len(part.get_shape())}"
        yield from (f"metadata {key}" for key in opened.metadata() or {})


def schema_names(schema: dict[str, Any], root: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield every field of a JSON schema with its type; class names do not show."""
    while "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        for option in options:
            yield from schema_names(option, root, path)
    elif schema.get("properties"):
        required = schema.get("required", ())
        for name, item in schema["properties"].items():
            mark = "" if name in required else "?"
            yield from schema_names(item, root, f"{path}.{name}{mark}" if path else f"{name}{mark}")
    elif schema.get("type") == "array":
        yield from schema_names(schema.get("items", {}), root, f"{path}[]")
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from schema_names(schema["additionalProperties"], root, f"{path}.*")
    else:
        values = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
        kind = "|".join(map(str, values)) if values else schema.get("format") or schema.get("type", "any")
        yield f"{path}: {kind}"


def model_names(model: type[BaseModel]) -> list[str]:
    """Return the fields of a pydantic model as it is written to JSON."""
    schema = model.model_json_schema(mode="serialization")
    return list(schema_names(schema, schema))


def column_names(schema: pa.Schema) -> list[str]:
    """Return each column of a Parquet schema with its type and nullability."""
    return [f"{field.name}: {field.type}{'' if field.nullable else ' not null'}" for field in schema]


def example(of: type) -> Any:
    """Return an instance of a dataclass with a plain value in every field."""
    assert is_dataclass(of)
    return of(**{field.name: _value(str(field.type)) for field in fields(of) if _asked(field)})


def _asked(field: Any) -> bool:
    """Return whether the field has no default factory."""
    return field.default_factory is MISSING


def _value(kind: str) -> Any:
    """Return a plain value of an annotated type."""
    plain = {"datetime": MOMENT, "tuple": (), "bool": False, "int": 0, "float": 0.5, "dict": {}, "list": []}
    return next((value for name, value in plain.items() if kind.startswith(name)), "")
