"""Spans: one tree a request, GenAI's names for the language model's call, nothing of what was said; off by default."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bentos.auth import routes
from bentos.telemetry import metrics, tracing
from bentos.telemetry.middleware import TelemetryMiddleware
from pmlm.errors import SettingsError

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def answer(request: Request) -> Response:
    """An interaction, as the personalizer notes one; ``?fails`` with a failing language model."""
    request.scope["state"]["rule"] = routes.find_rule("POST", "/patients/Patient/ada/timeline")
    failed = "a server said: ConnectError" if "fails" in request.query_params else None
    tracing.export_interaction({"pmlm.style": "plain"}, {"features": 0.1, "method": 0.2, "llm": 0.5},
                        tracing.LLMCall("m", "https://llm.example:8443/v1", failed))  # fmt: skip
    if "raises" in request.query_params:
        raise KeyError("Adelheid")
    with tracing.tool_span("peers"):
        return Response("ok", status_code=500 if failed else 200)


@pytest.fixture
def client() -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])

    async def with_state(scope, receive, send):  # type: ignore[no-untyped-def]  # as the door does
        scope.setdefault("state", {})
        await app(scope, receive, send)

    return TestClient(TelemetryMiddleware(with_state), raise_server_exceptions=False)  # type: ignore[arg-type]


def spans(client: TestClient, path: str, **headers: str) -> dict[str, ReadableSpan]:
    exporter = InMemorySpanExporter()
    with tracing.export_to(exporter):
        client.post(path, headers=headers)
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_request_is_one_tree_below_its_caller(client: TestClient) -> None:
    found = spans(client, "/patients/Patient/ada/timeline?q=tired", traceparent=CALLER)
    root = found["POST /patients/{ref}/timeline"]
    assert root.kind is SpanKind.SERVER
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == CALLER.split("-")[2]
    for name in ("personalize", "chat m", "execute_tool peers"):
        assert found[name].parent == root.context
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {CALLER.split("-")[1]}


def test_the_call_is_told_in_the_words_of_the_conventions(client: TestClient) -> None:
    call = spans(client, "/x")["chat m"]
    assert call.kind is SpanKind.CLIENT
    assert dict(call.attributes or {}) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
        "server.address": "llm.example", "server.port": 8443,
    }  # fmt: skip
    assert (call.end_time or 0) - (call.start_time or 0) == pytest.approx(0.5e9, abs=1e6)


def test_a_failure_is_named_and_never_quoted(client: TestClient) -> None:
    found = spans(client, "/x?fails")
    assert (found["chat m"].attributes or {})["error.type"] == "ConnectError"
    assert found["chat m"].status.status_code is StatusCode.ERROR
    raised = spans(client, "/x?raises")["POST /patients/{ref}/timeline"]
    assert (raised.attributes or {})["http.response.status_code"] == 500
    exported = [span.to_json() for span in (*found.values(), raised)]
    assert not [t for t in exported if "Adelheid" in t or "a server said" in t or '"events": [\n        {' in t]


def test_nothing_is_made_where_nobody_asked(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_providers", [])  # whatever an earlier test of this process asked for
    for name in tracing.ASKED_FOR:
        monkeypatch.delenv(name, raising=False)
    tracing.start_exporting()
    with tracing.request_span("GET", {}) as span:
        assert not span.is_recording()
    assert client.post("/x").status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "asked"),
    [("OTEL_TRACES_EXPORTER", "otlp", True), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", True),
     ("OTEL_TRACES_EXPORTER", "none", False), ("OTEL_SERVICE_NAME", "x", False)],
)  # fmt: skip
def test_the_environment_asks(monkeypatch: pytest.MonkeyPatch, name: str, value: str, asked: bool) -> None:
    for one in (*tracing.ASKED_FOR, "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, value)
    exporter = tracing.make_exporter()
    assert (exporter is not None) is asked
    if exporter is not None:
        exporter.shutdown()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert tracing.make_exporter() is None


def test_an_exporter_we_do_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(SettingsError, match="zipkin"):
        tracing.make_exporter()


@pytest.mark.parametrize(
    ("text", "name"),
    [("timeout", "timeout"), ("model-x: ReadTimeout", "ReadTimeout"), ("model: empty answer", "empty answer"),
     ("She said: Patient/ada 30 weeks!", "other"), ("x" * 41, "other"), ("", "other")],
)  # fmt: skip
def test_a_failure_becomes_a_label_only_as_a_plain_name(text: str, name: str) -> None:
    assert metrics.error_name(text) == name
