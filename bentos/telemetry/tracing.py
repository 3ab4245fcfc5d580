"""OpenTelemetry traces: one span per request, method and model below it.

The call's span follows the semantic conventions for generative AI (``gen_ai.*``) without message content. Off unless
the environment asks for an exporter: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` or
``OTEL_TRACES_EXPORTER`` (``otlp``, ``console``); the other ``OTEL_*`` variables mean what the specification says.
Spans are made here alone, by a provider that no library shares, so that none can bring a path or a text along.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bentos.telemetry.metrics import error_name
from pmlm.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

SERVICE = "pmlm"
CALLS = ("llm", "chat")  # the parts of an interaction (``PreparedPrompt.seconds``) that are a language model's call
ASKED_FOR = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PARENT = TraceContextTextMapPropagator()
_NOTHING = trace.NoOpTracerProvider()
_providers: list[TracerProvider] = []


def start_exporting() -> None:
    """Export spans if the environment asks for it; :class:`SettingsError` for an unknown exporter."""
    found = make_exporter()
    if found is not None:
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        _open_provider().add_span_processor(BatchSpanProcessor(found))


@contextmanager
def export_to(target: SpanExporter) -> Iterator[None]:
    """Send every span of this process to ``target`` during a block."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    before = _providers[:]
    _providers.clear()
    try:
        _open_provider().add_span_processor(SimpleSpanProcessor(target))
        yield
    finally:
        _providers[:] = before


@contextmanager
def request_span(method: str, headers: Mapping[str, str]) -> Iterator[Span]:
    """The span of one request, below the caller's ``traceparent``; :func:`name_request` names it."""
    parent = _PARENT.extract(headers, Context())  # not below the server's own span, which is sampled by other rules
    span = _tracer().start_span(method, context=parent, kind=SpanKind.SERVER)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield span


def name_request(span: Span, method: str, route: str, status: int) -> None:
    """Name a request's span by its route, and set how it was answered."""
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def export_interaction(attributes: Mapping[str, Any], seconds: Mapping[str, float], call: LLMCall | None) -> None:
    """Export the spans of an interaction that has just ended, below the running request's.

    Its parts were timed by themselves; they are put end to end, the last one ending now.
    """
    if not trace.get_current_span().is_recording():
        return
    end = time.time_ns()
    started = end - int(sum(seconds.values()) * 1e9)
    made = started + int(sum(took for part, took in seconds.items() if part not in CALLS) * 1e9)
    span = _tracer().start_span("personalize", start_time=started, attributes=dict(attributes))
    span.end(made)
    if call is not None:
        call.export(made, end)


class LLMCall:
    """One call of a language model, in the terms of the GenAI conventions."""

    def __init__(self, model: str, base_url: str | None, error: str | None) -> None:
        self._model, self._base_url, self._error = model, base_url, error

    def export(self, start: int, end: int) -> None:
        """Export its span, from ``start`` to ``end`` (nanoseconds since 1970)."""
        kind = SpanKind.CLIENT if self._base_url else SpanKind.INTERNAL
        span = _tracer().start_span(f"chat {self._model}", kind=kind, start_time=start, attributes=self._attributes())
        if self._error:
            span.set_attribute("error.type", error_name(self._error))
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def _attributes(self) -> dict[str, str | int]:
        found: dict[str, str | int] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai" if self._base_url else SERVICE,
            "gen_ai.request.model": self._model,
        }
        if self._base_url:
            place = urlsplit(self._base_url)
            found["server.address"] = place.hostname or ""
            found["server.port"] = place.port or (443 if place.scheme == "https" else 80)
        return found


@contextmanager
def tool_span(name: str) -> Iterator[Span]:
    """The span of one MCP tool call; ``name`` is a tool of ours."""
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    with _tracer().start_as_current_span(
        f"execute_tool {name}", attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise


def _tracer() -> trace.Tracer:
    return (_providers[0] if _providers else _NOTHING).get_tracer(SERVICE)


def _open_provider() -> TracerProvider:
    if not _providers:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
        _providers.append(TracerProvider(resource=Resource.create(named)))
    return _providers[0]


def make_exporter() -> SpanExporter | None:
    """The exporter that the environment asks for; None where it asks for no traces."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    chosen = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower()
    if off or chosen == "none" or not any(os.environ.get(name) for name in ASKED_FOR):
        return None
    if chosen == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if chosen != "otlp":
        raise SettingsError(f"OTEL_TRACES_EXPORTER: {chosen} is none of otlp, console, none")
    try:
        return _make_otlp()
    except ImportError:
        raise SettingsError("traces over OTLP need the package opentelemetry-exporter-otlp") from None


def _make_otlp() -> SpanExporter:
    common = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", common) == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc

        return OverGrpc()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp

    return OverHttp()
