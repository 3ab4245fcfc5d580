"""The OpenAPI document: every route described, with examples that its own schemas accept, errors included."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bentos.auth import routes
from bentos.auth.routes import Door
from bentos.http import openapi
from bentos.http.app import app
from bentos.http.operation_names import OPERATION_NAMES

DOCUMENT = openapi.build_document(app)
OPERATIONS = [(path, method, op) for path, item in DOCUMENT["paths"].items() for method, op in item.items()]
NAMED = [f"{method} {path}" for path, method, _ in OPERATIONS]


def test_every_native_route_is_described() -> None:
    assert {"/personalize", "/answer", "/explain/{answer_id}", "/patients/{ref}/timeline"} <= set(DOCUMENT["paths"])
    assert {"/livez", "/readyz"} <= set(DOCUMENT["paths"])


def test_every_operation_has_a_group_that_is_described_and_a_readable_id_of_its_own() -> None:
    ids = [op["operationId"] for _, _, op in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)*", id_) for id_ in ids)
    assert {tag for _, _, op in OPERATIONS for tag in op["tags"]} == {tag["name"] for tag in DOCUMENT["tags"]}
    assert {(method, path) for path, method, _ in OPERATIONS} == set(OPERATION_NAMES)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMED)
def test_an_operation_says_what_its_rule_does(path: str, method: str, operation: dict[str, Any]) -> None:
    rule = routes.find_rule(method.upper(), path)
    assert rule is not routes.UNKNOWN
    assert bool(operation["security"]) == (rule.door is Door.TOKEN)
    assert operation["description"]
    assert "422" not in operation["responses"]
    if rule.door is Door.TOKEN:
        assert {"401", "403", "429"} <= set(operation["responses"])
    if method == "post":
        assert {"400", "413", "415"} <= set(operation["responses"])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMED)
def test_every_body_has_an_example_that_its_schema_accepts(path: str, method: str, operation: dict[str, Any]) -> None:
    bodies = [*operation["responses"].values(), *filter(None, [operation.get("requestBody")])]
    contents = [content for body in bodies for content in body.get("content", {}).items()]
    for media, content in contents:
        if media == "text/event-stream":
            continue
        shown = [content["example"]] if "example" in content else [e["value"] for e in content["examples"].values()]
        for example in shown:
            schema = content["schema"] | {"components": DOCUMENT["components"]}
            Draft202012Validator(schema).validate(example)


def test_no_example_and_no_word_names_a_schema_that_is_not_there() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"].rsplit("/", 1)[-1]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(v) for v in value.values()))
        return set().union(*(references(v) for v in value)) if isinstance(value, list) else set()

    assert references(DOCUMENT) <= set(schemas)
