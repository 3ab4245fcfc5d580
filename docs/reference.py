"""Render the reference pages from the code: commands, settings, endpoint, features, parameters."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer
import yaml
from pydantic_core import PydanticUndefined

from feature_repo.store import services
from pipelines.params import Params
from pmlm.cli.main import app
from pmlm.settings import PROJECT, Settings

PLACEHOLDER = re.compile(r"(?P<code>```.*?```|`[^`\n]*`)|<(?=[a-z])", re.S)


def render_pages() -> dict[str, str]:
    """Name of a page → its Markdown."""
    pages = {
        "commands": render_commands(),
        "settings": render_settings(),
        "endpoint": render_endpoint(),
        "features": render_features(),
        "parameters": render_parameters(),
    }
    return {name: escape_placeholders(page) for name, page in pages.items()}


def escape_placeholders(page: str) -> str:
    """The page with ``<id>`` and its like as text, where it is no code: a browser takes it for an element."""
    return PLACEHOLDER.sub(lambda found: found["code"] or "&lt;", page)


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _walk(
    command: click.Command, words: tuple[str, ...] = ("pmlm",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    children = getattr(command, "commands", None)
    if children is None or getattr(command, "invoke_without_command", False):
        yield words, command
    for name, child in sorted((children or {}).items()):
        yield from _walk(child, (*words, name))


def render_commands() -> str:
    """Every command with arguments, options and example, as in ``--help``."""
    parts = ["# Commands", "Every command has `--help`. Errors that PMLM can explain are one line and exit code 1."]
    for words, command in _walk(typer.main.get_command(app)):
        parts += [f"## {' '.join(words)}", command.help or ""]
        options = [p for p in command.params if not getattr(p, "hidden", False)]
        if options:
            parts.append(_table(("argument or option", "default", "meaning"), map(_parameter, options)))
        if command.epilog:
            example = command.epilog.removeprefix("Example: ")
            parts.append(f"```\n{example}\n```")
    return "\n\n".join(parts) + "\n"


def _parameter(parameter: click.Parameter) -> tuple[str, str, str]:
    names = parameter.opts + parameter.secondary_opts
    shown = ", ".join(f"`{n}`" for n in names) if names[0].startswith("-") else f"`{names[0].upper()}`"
    default = parameter.default
    given = (
        "" if default is None or default is False or callable(default) or "Sentinel" in str(default) else f"`{default}`"
    )
    return shown, "required" if parameter.required else given, getattr(parameter, "help", "") or ""


def render_settings() -> str:
    """Every setting with its type and default."""
    rows = (
        (f"`PMLM_{name.upper()}`", f"`{_default(field.default)}`", field.description or "")
        for name, field in Settings.model_fields.items()
    )
    intro = "Environment variables, or lines of a file `.env`. The meanings are those of the README's table."
    meaning = dict(_readme_rows())
    filled = ((name, default, text or meaning.get(name.strip("`"), "")) for name, default, text in rows)
    return f"# Settings\n\n{intro}\n\n{_table(('variable', 'default', 'meaning'), filled)}\n"


def _default(value: Any) -> str:
    if value is None or value is PydanticUndefined:
        return "none"
    return str(value).replace(f"{PROJECT}/", "").replace(str(Path.home()), "~")


def _readme_rows() -> Iterator[tuple[str, str]]:
    for line in (PROJECT / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`PMLM_"):
            yield cells[0].strip("`"), cells[2].replace("](docs/", "](../")


def render_features() -> str:
    """Every feature group: what it is, and each feature's type, unit and meaning."""
    parts = [
        "# Features",
        f"Service `{services.SERVICE}`, schema `{services.hash_schema()}`: what a model may read. One file per "
        "group in `feature_repo/groups/`; a new file is a new group.",
    ]
    for view in services.list_views():
        rows = ((f"`{f.name}`", f.dtype, f.tags.get("unit", ""), f.description) for f in view.features)
        parts += [f"## {view.name}", view.description, _table(("feature", "type", "unit", "meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def render_parameters() -> str:
    """Every parameter of ``params.yaml`` with its value, unit and meaning, from its schema."""
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    parts = ["# Parameters", "`params:` in a clinic's `clinic.yaml` may override any of them."]
    for name, section in typing.get_type_hints(Params).items():
        rows = (
            (f"`{key}`", f"`{values[name][key]}`", field.json_schema_extra["unit"], field.description)
            for key, field in section.model_fields.items()
        )
        parts += [f"## {name}", section.__doc__ or "", _table(("parameter", "value", "unit", "meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def render_endpoint() -> str:
    """Every route of the endpoint's OpenAPI document, with its fields."""
    document = _openapi()
    parts = [
        "# Endpoint",
        document["info"].get("description") or "",
        "The whole document is served at `/openapi.json`.",
    ]
    for path, operations in sorted(document["paths"].items()):
        for method, operation in operations.items():
            if method in ("get", "post", "put", "delete"):
                parts += [f"## {method.upper()} {path}", operation.get("description") or operation.get("summary") or ""]
                parts += _bodies(document, operation)
    return "\n\n".join(part for part in parts if part) + "\n"


def _bodies(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    asked = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if asked:
        yield "**Request**"
        yield from _fields(document, asked.get("schema", {}))
        example = asked.get("example") or next((e["value"] for e in asked.get("examples", {}).values()), None)
        if example:
            yield f"```json\n{json.dumps(example, indent=2, ensure_ascii=False)}\n```"
    for status, answer in sorted(operation.get("responses", {}).items()):
        content = next(iter(answer.get("content", {}).values()), {})
        yield f"**{status}** {answer.get('description', '')}"
        if str(status).startswith("2"):
            yield from _fields(document, content.get("schema", {}))


def _fields(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    schema = _resolve(document, schema)
    rows = [
        (
            f"`{name}`",
            _type(document, field),
            "yes" if name in schema.get("required", ()) else "",
            field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]
    if rows:
        yield _table(("field", "type", "required", "meaning"), iter(rows))


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _type(document: dict[str, Any], field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rsplit("/", 1)[-1].rsplit("__", 1)[-1])
    if "anyOf" in field:
        return " or ".join(_type(document, one) for one in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(document, field.get('items', {}))}"
    return str(field.get("format") or field.get("type") or "any")


def _openapi() -> dict[str, Any]:
    from bentos.http import app, openapi

    return openapi.build_document(app.app)
