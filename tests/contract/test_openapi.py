"""The endpoint keeps what its OpenAPI document promises, whatever is sent to it: checked by schemathesis over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from conftest import bearer
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bentos.auth import routes
from pipelines.packaging import serving
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.api_types import PLACEHOLDER_ID
from pmlm.settings import Settings
from tests.contract.stub_llm import stub_llm
from tests.contract.three_women import ADA

EXAMPLES = hypothesis_settings.default.max_examples // 5
KEPT = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def quick(settings: Settings) -> Iterator[RunningEndpoint]:
    """The bento served with a language model that answers at once."""
    with stub_llm() as stub:
        own = settings.model_copy(update={"llm_base_url": stub.url, "llm_model": "stub", "rate_limit": "100000/minute"})
        with serving.serve_temporarily(own) as running:
            yield running


@pytest.fixture(scope="module")
def document(quick: RunningEndpoint, settings: Settings) -> dict[str, Any]:
    """The document as anyone may read it, with a patient of this clinic among the examples."""
    written = httpx.get(f"{quick.url}/openapi.json", trust_env=False)
    assert written.status_code == 200
    return dict(json.loads(written.text.replace(PLACEHOLDER_ID, ADA)))


def test_the_document_holds_every_route_there_is(document: dict[str, Any]) -> None:
    """But those that the document says are not in it (the MCP server, the pages), and the metrics of this machine."""
    others = {"/mcp", "/page", "/page/api", "/ops", "/ops/figures", "/"}
    others |= {"/metrics", "/healthz", "/openapi.json", "/docs"}
    paths = {path: document["paths"][path] for path in document["paths"]}
    found = {routes.find_rule(method.upper(), path.replace("{", "").replace("}", "")).name
             for path, item in paths.items() for method in item}  # fmt: skip
    assert found == {rule.name for rule in routes.RULES} - others


def test_no_request_whatever_gets_an_answer_that_was_not_promised(
    document: dict[str, Any], quick: RunningEndpoint, settings: Settings
) -> None:
    described = schemathesis.openapi.from_dict(document)
    described.config.update(base_url=quick.url)
    operations = [result.ok() for result in described.get_all_operations()]
    assert {operation.path for operation in operations} == set(document["paths"])
    broken: list[Exception] = []
    for operation in operations:
        try:
            _attack(operation, bearer(settings))
        except Exception as error:
            broken.append(error)
    if broken:
        raise ExceptionGroup("answers that the document does not promise", broken)


def test_the_documents_own_examples_are_answered_as_it_says(
    document: dict[str, Any], quick: RunningEndpoint, settings: Settings
) -> None:
    described = schemathesis.openapi.from_dict(document)
    described.config.update(base_url=quick.url)
    asked = described["/answer"]["post"]
    answered = asked.Case(body=_sent(document, "/answer"), media_type="application/json").call(headers=bearer(settings))
    named = {"answer_id": answered.json()["id"], "ref": f"Patient/{ADA}", "service_id": "pmlm-patient-view"}
    for path, item in document["paths"].items():
        for method in item:
            operation = described[path][method]
            body = _sent(document, path) if method == "post" else None
            if body and "answer_id" in body:
                body = body | {"answer_id": named["answer_id"]}
            values = {p.name: named[p.name] for p in operation.path_parameters}
            expected = 404 if path.endswith("{service_id}/feedback") else 200  # the example's card is nobody's
            media = {"body": body, "media_type": "application/json"} if body else {}
            case = operation.Case(path_parameters=values, **media)
            written = case.call_and_validate(headers=bearer(settings), checks=KEPT, timeout=30)
            assert written.status_code == expected, (path, written.text)


def _sent(document: dict[str, Any], path: str) -> dict[str, Any]:
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return dict(content["example"] if "example" in content else next(iter(content["examples"].values()))["value"])


def _attack(operation: APIOperation, headers: dict[str, str]) -> None:
    """Send an operation what fits its schema, and what does not; every answer must be one that it promises."""

    @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @hypothesis_settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def send(case: Case) -> None:
        case.call_and_validate(headers=headers, checks=KEPT, timeout=30)

    send()
