"""Build the OpenAPI 3.1 document of BentoML's routes, ours, and every mounted FastAPI app's.

What every route has in common (who may use it, how it refuses) follows from its rule in ``auth.routes``, so that the
document cannot differ from what is enforced.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from bentos.auth import routes
from bentos.auth.routes import Door, RouteRule
from bentos.http import examples, mounts
from bentos.http.operation_names import OPERATION_NAMES, TAGS
from bentos.problems.problem_details import OPENAI, openai_error
from pmlm.api_types import PROBLEM, AnswerResponse, PersonalizeRequest, PersonalizeResponse, Problem

REFERENCES = "#/components/schemas/{model}"
JSON = "application/json"

#: The routes that BentoML serves: path → what it gives, what it does.
BENTO: dict[str, tuple[type[PersonalizeResponse], str]] = {
    "/personalize": (
        PersonalizeResponse,
        "The refined hard prompt for this patient and question, with the provenance of each sentence.",
    ),
    "/answer": (
        AnswerResponse,
        "The same, with the language model's answer. If the language model fails and no red flag was found: 503, "
        "with the prompt still there.",
    ),
}


@cache
def build_document(native: FastAPI) -> dict[str, Any]:
    """The document; ``native`` is the app of our own routes."""
    paths: dict[str, Any] = {path: {"post": _describe_bento_route(path)} for path in BENTO}
    _, described = models_json_schema(
        [
            (PersonalizeRequest, "validation"),
            (PersonalizeResponse, "serialization"),
            (AnswerResponse, "serialization"),
            (Problem, "serialization"),
        ],
        ref_template=REFERENCES,
    )
    schemas: dict[str, Any] = dict(described["$defs"])
    for prefix, part in _list_apps(native):
        described = get_openapi(title="", version="", routes=part.routes)
        paths |= {f"{prefix}{path}".rstrip("/") or "/": item for path, item in described["paths"].items()}
        schemas |= described.get("components", {}).get("schemas", {})
    for path, item in paths.items():
        for method, operation in item.items():
            _complete_operation(operation, method, path)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PMLM",
            "version": version("pmlm"),
            "description": "Personalised and explainable answers of any language model. Not a medical device. Beside "
            "these routes `/mcp` speaks the Model Context Protocol, and `/page/api` and `/ops` are the pages' own.",
        },
        "tags": [{"name": name, "description": purpose} for name, purpose in TAGS.items()],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": {"bearer": _BEARER}},
    }


_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "SMART on FHIR backend services: scopes such as `system/Patient.rs`; `pmlm token` makes one.",
}


def _list_apps(native: FastAPI) -> Iterator[tuple[str, FastAPI]]:
    yield "", native
    for path, app in mounts.list_apps():
        if isinstance(app, FastAPI):
            yield path.rstrip("/"), app


def _describe_bento_route(path: str) -> dict[str, Any]:
    model, does = BENTO[path]
    return {
        "summary": path.removeprefix("/").capitalize(),
        "description": does,
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref("PersonalizeRequest")}}},
        "responses": {
            "200": {"description": does.split(".")[0], "content": {JSON: {"schema": _ref(model.__name__)}}},
            "400": describe_problem(400, path),
            "404": describe_problem(404, path),
            "503": describe_problem(503, path),
        },
    }


def _complete_operation(operation: dict[str, Any], method: str, path: str) -> None:
    """Add an operation's names, and what follows from its rule: security, refusals, examples."""
    rule = routes.find_rule(method.upper(), path)
    tag, operation["operationId"] = OPERATION_NAMES[method, path]
    operation["tags"] = [tag]
    responses: dict[str, Any] = operation["responses"]
    if responses.pop("422", None):  # what FastAPI would say; we answer 400
        responses.setdefault("400", describe_problem(400, path))
    operation["security"] = [{"bearer": []}] if rule.door is Door.TOKEN else []
    for status in _list_refusals(rule, method):
        responses.setdefault(str(status), describe_problem(status, path))
    operation["responses"] = dict(sorted(responses.items()))
    if rule.need:
        operation["description"] = f"{operation.get('description', '')}\n\nNeeds a scope that covers `{rule.need}`."
    _add_examples(operation, *examples.OPERATIONS.get((method, path), (None, None)))


def _add_examples(operation: dict[str, Any], sent: dict[str, Any] | None, answered: dict[str, Any] | None) -> None:
    """Add the examples; an error without one gets that of its status."""
    if sent is not None:
        operation["requestBody"]["content"][JSON]["example"] = sent
    if answered is not None:
        operation["responses"]["200"]["content"][JSON]["example"] = answered
    for status, response in operation["responses"].items():
        for media, content in response.get("content", {}).items():
            if int(status) >= 400 and not {"example", "examples"} & set(content):
                usual = examples.problem(int(status))
                shape = usual if media == PROBLEM else openai_error(Problem.model_validate(usual))
                content["example"] = shape


def _list_refusals(rule: RouteRule, method: str) -> Iterator[int]:
    if rule.door is Door.TOKEN:
        yield from (401, 403, 429)
        yield 503  # the keys that tokens are checked with cannot be had
    if rule.need:  # the patient, answer or service named may be unknown
        yield 404
    if method == "post":
        yield from (413, 415)


def describe_problem(status: int, path: str = "") -> dict[str, Any]:
    """Describe the problem of a status as a response of an operation of ``path``."""
    example: dict[str, Any] = examples.problem(status)
    described: dict[str, Any] = {"description": example["title"]}
    if path.startswith(f"{OPENAI}/"):
        example = openai_error(Problem.model_validate(example))
        described["content"] = {JSON: {"schema": {"type": "object", "required": ["error"]}, "example": example}}
    else:
        described["content"] = {PROBLEM: {"schema": _ref("Problem"), "example": example}}
    if status == 429:
        described["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    if status == 401:
        described["headers"] = {"WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}}}
    return described


def _ref(model: str) -> dict[str, str]:
    return {"$ref": REFERENCES.format(model=model)}
