"""Collect public names: commands, settings, routes, tools, hooks, metrics, errors, tokens, benchmark rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import anyio
import click
import jwt
import typer
import yaml
from prometheus_client.metrics import MetricWrapperBase
from starlette.routing import Route

from bentos.auth.keys import DEVELOPMENT, SCOPES, key_path, mint, token_path
from bentos.auth.routes import RULES
from bentos.cds.cds_types import Cards, FeedbackSent, HookRequest
from bentos.cds.services import SERVICES
from bentos.http.app import app as native
from bentos.http.openapi import build_document
from bentos.llm.errors import UpstreamError
from bentos.llm.upstream_client import choose_upstream, status_error
from bentos.mcp.app import make_server
from bentos.openai.admission import Admission
from bentos.openai.chat.chat_request import PATIENT_HEADER
from bentos.openai.chat.errors import GatewayError, explain
from bentos.openai.context_budget import fit_prompt
from bentos.personalizer.release import BENTO_NAME, MODEL_NAME
from bentos.problems.problem_details import PROBLEM, make_problem
from bentos.telemetry import metrics as metrics_module
from bentos.web.app import app as page
from models.schema import EditProgram, Segment
from pmlm.cli.main import app as commands_app
from pmlm.errors import ForeignPatientError, ServingError, UnknownPatientError
from pmlm.settings import PROJECT, Settings, load_settings
from tests.unit.persisted.shapes import json_names, schema_names

METHODS = ("get", "post", "put", "patch", "delete")


def commands(tmp: Path) -> list[str]:
    """Collect every command with its arguments and options."""
    return list(_walk(typer.main.get_command(commands_app), "pmlm"))


def _walk(command: click.Command, words: str) -> Iterator[str]:
    yield words
    for parameter in command.params:
        names = "/".join([*parameter.opts, *parameter.secondary_opts])
        shown = names if isinstance(parameter, click.Option) or names.startswith("-") else f"<{names}>"
        yield f"{words} {shown}{' required' if parameter.required else ''}"
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _walk(child, f"{words} {name}")


def settings(tmp: Path) -> list[str]:
    """Collect every setting with its default."""
    prefix = Settings.model_config["env_prefix"]
    return [f"{prefix}{name.upper()}={_default(field.default)}" for name, field in Settings.model_fields.items()]


def _default(value: Any) -> str:
    return str(value).replace(f"{PROJECT}/", "").replace(str(Path.home()), "~")


def parameters(tmp: Path) -> list[str]:
    """Collect the keys of ``params.yaml`` and the stages of ``dvc.yaml``."""
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    wired = [
        f"dvc {stage} {part} {next(iter(item)) if isinstance(item, dict) else item}"
        for stage, parts in stages.items()
        for part in ("deps", "params", "outs", "metrics")
        for item in parts.get(part, ())
    ]
    return [*json_names(yaml.safe_load((PROJECT / "params.yaml").read_text())), *wired]


def routes(tmp: Path) -> list[str]:
    """Collect every route of the OpenAPI document with parameters, request and response fields."""
    described = build_document(native)
    return [
        f"{method.upper()} {path} {name}"
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method in METHODS
        for name in _operation(operation, described)
    ]


def _operation(operation: dict[str, Any], root: dict[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield f"{parameter['in']} {parameter['name']}"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from (f"takes {media} {name}" for name in schema_names(content["schema"], root))
    for status, response in operation["responses"].items():
        yield f"gives {status}"
        yield from (f"gives {status} header {name}" for name in response.get("headers", ()))
        for media, content in response.get("content", {}).items():
            yield from (f"gives {status} {media} {name}" for name in schema_names(content.get("schema", {}), root))


def page_routes(tmp: Path) -> list[str]:
    """Collect the page's routes with their request and response fields."""
    answers, found = import_module("bentos.web.answers"), []
    for route in page.routes:
        if not isinstance(route, Route) or "POST" not in (route.methods or ()):
            continue
        shapes = get_type_hints(getattr(answers, route.path.rsplit("/", 1)[-1]))
        given, taken = shapes.pop("return"), list(shapes.values())[-1]
        for word, shape in (("takes", taken), ("gives", given)):
            schema = shape.model_json_schema(mode="validation" if word == "takes" else "serialization")
            found += [f"POST {route.path} {word} {name}" for name in schema_names(schema, schema)]
    return found


def doors(tmp: Path) -> list[str]:
    """Collect each route's name, path, access rule and scope."""
    return [f"{r.name} {r.path.pattern} {r.door.name.lower()} {r.need or 'no scope'}" for r in RULES]


def errors(tmp: Path) -> list[str]:
    """Collect problems (RFC 9457) and errors in OpenAI's shape: types, titles, codes, parameters."""
    statuses = [s for s in HTTPStatus if s in (400, 401, 403, 404, 405, 413, 415, 429, 500, 502, 503, 504)]
    problems = [make_problem(status, "detail", "field").model_dump(mode="json") for status in statuses]
    found = [f"{PROBLEM} {p['status']} {p['type']} {p['title']}: {' '.join(p)}" for p in problems]
    found += [f"openai {status.value} {GatewayError(status, '').body['error']['type']}" for status in statuses]
    reasons = ("timeout", "unreachable", "truncated", "malformed", "empty", "failed")
    known: list[Any] = [UpstreamError(reason) for reason in reasons]
    known += [ForeignPatientError(""), UnknownPatientError(""), ServingError("")]
    refusals: list[Any] = [*known, Admission(0, 0).refusal()]
    pinned = tuple(Segment(key, "pinned", "A fact.", pinned=True) for key in ("safety", "pregnancy", "allergies"))
    made = SimpleNamespace(prompt="A fact.", kept=(), segments=pinned, program=EditProgram(()), language="en")
    resting: Any = SimpleNamespace(breaker=SimpleNamespace(wait=3.0))
    refusals += [_raised(fit_prompt, made, [], 256, 256, len), _raised(choose_upstream, (resting,), [])]
    refusals.append(status_error(429, {}, b"", 0, 1.0))
    answered = [explain(error) for error in refusals if error]
    bodies = [(error.status, error.body["error"]) for error in answered if isinstance(error, GatewayError)]
    return [*found, *(f"openai {status} {e['type']} code={e['code']} param={e['param']}" for status, e in bodies)]


def _raised(function: Any, *arguments: Any) -> Exception | None:
    try:
        function(*arguments)
    except (GatewayError, UpstreamError) as error:
        return error
    return None


def tools(tmp: Path) -> list[str]:
    """Collect the MCP tools with their arguments and output fields."""
    found = []
    for tool in anyio.run(make_server().list_tools):
        found += [f"{tool.name} takes {name}" for name in schema_names(tool.input_schema, tool.input_schema)]
        found += [f"{tool.name} gives {name}" for name in schema_names(tool.output_schema, tool.output_schema)]
    return found


def hooks(tmp: Path) -> list[str]:
    """Collect CDS Hooks services with their request, card and feedback fields."""
    found = [f"{service.hook} {service.id}" for service in SERVICES]
    for word, shape in (("takes", HookRequest), ("gives", Cards), ("feedback", FeedbackSent)):
        schema = shape.model_json_schema()
        found += [f"{word} {name}" for name in schema_names(schema, schema)]
    return found


def metrics(tmp: Path) -> list[str]:
    """Collect the Prometheus metrics with their types and labels."""
    found = [m for m in vars(metrics_module).values() if isinstance(m, MetricWrapperBase)]
    families = [(m.describe()[0], m._labelnames) for m in found]
    return [f"{family.name} {family.type} {' '.join(labels)}".strip() for family, labels in families]


def tokens(tmp: Path) -> list[str]:
    """Collect token claims, key file names, HTTP headers and BentoML names."""
    (tmp / "drops").mkdir(exist_ok=True)
    (tmp / "drops" / "clinic.yaml").write_text("name: names\nhash_key: a public key\n")
    own = load_settings(home=tmp / "state", drops=tmp / "drops", key_dir=tmp / "keys")
    token = mint(own, DEVELOPMENT, SCOPES, [1], 1)
    claims = jwt.decode(token, options={"verify_signature": False})
    stated = ("iss", "aud", "sub", "client_id", "scope", "clinic", "patients")
    return [
        *(f"claim {name}" for name in claims),
        *(f"claim {name}={claims[name]}" for name in stated),
        *(f"header {name}={value}" for name, value in jwt.get_unverified_header(token).items()),
        *(f"file {path.name}" for path in (key_path(own), token_path(own))),
        f"HTTP header {PATIENT_HEADER}", f"bento {BENTO_NAME}", f"model {MODEL_NAME}",
    ]  # fmt: skip


def benchmarks(tmp: Path) -> list[str]:
    """Collect the keys of each published benchmark's rows."""
    found = []
    for file in sorted((PROJECT / "benchmarks" / "results").glob("*.json*")):
        text = file.read_text()
        read = [json.loads(line) for line in text.splitlines()] if file.suffix == ".jsonl" else json.loads(text)
        rows = read if isinstance(read, list) else [read]
        found += [f"{file.name} {key}" for row in rows for key in row]
    return found


FAMILIES = (
    commands, settings, parameters, routes, page_routes, doors, errors, tools, hooks, metrics, tokens, benchmarks,
)  # fmt: skip
