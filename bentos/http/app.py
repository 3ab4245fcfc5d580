"""The native app (FastAPI): health, metrics, explanations, timelines, feedback, the OpenAPI document."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Annotated

import anyio
import anyio.to_thread
import prometheus_client
from fastapi import FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, multiprocess

from bentos.auth import audit
from bentos.auth.principal import FOREIGN, Principal
from bentos.http import openapi
from bentos.personalizer import current
from bentos.problems import error_handlers
from bentos.problems.problem_details import App, Receive, Scope, Send
from bentos.problems.thread_limits import loop_limiter
from pmlm.api_types import PLACEHOLDER_ID, Explanation, Health, PersonalizeRequest, Timeline
from pmlm.draft_types import DraftResponse
from pmlm.errors import ForeignPatientError, UnknownAnswerError
from pmlm.feedback_types import DisputeReceipt, DisputeRequest, FeedbackReceipt, FeedbackRequest

app = FastAPI(title="PMLM", docs_url=None, redoc_url=None, openapi_url=None)
error_handlers.install(app)

READABLE_S = 2.0  # how long a health check waits for the feature store
CHECKS = 4

#: Names of the rules (``auth.routes``) whose requests this app answers.
NATIVE = frozenset(
    {"/livez", "/readyz", "/healthz", "/metrics", "/openapi.json", "/explain/{answer_id}", "/patients/{ref}/timeline"}
    | {"/draft", "/feedback", "/disputes"}
)


class NativeRoutesMiddleware:
    """ASGI middleware: this app for its routes, before BentoML's own ``/readyz`` and ``/livez``."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = scope.get("state", {}).get("rule") if scope["type"] == "http" else None
        chosen = app if rule is not None and rule.name in NATIVE else self._app
        await chosen(scope, receive, send)


@app.get("/healthz", include_in_schema=False)
@app.get("/livez", response_class=Response, responses={200: {"description": "It answers.", "content": {}}})
async def livez() -> Response:
    """Whether the process answers at all; on the event loop, so that no busy thread delays it."""
    return Response(status_code=HTTPStatus.OK)


@app.get("/readyz", responses={503: openapi.describe_problem(503)})
async def readyz() -> Health:
    """The release, and whether its features can be read; 503 without a release."""
    personalizer = current.personalizer()
    readable = False
    with anyio.move_on_after(READABLE_S):  # in a thread that nothing else waits for
        readable = await anyio.to_thread.run_sync(
            personalizer.features.readable, abandon_on_cancel=True, limiter=loop_limiter("health", CHECKS)
        )
    served = personalizer.release
    return Health(
        release=served.id,
        bento=served.bento,
        night=served.night,
        refiner=served.refiner,
        feature_service=served.feature_service,
        feature_schema=served.feature_schema,
        features="readable" if readable else "unreadable",
    )


@app.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    """Prometheus metrics of all workers; for this machine only."""
    registry = prometheus_client.REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # set by BentoML: each worker writes its own files
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return Response(prometheus_client.generate_latest(registry), media_type=prometheus_client.CONTENT_TYPE_LATEST)


@app.get("/openapi.json", include_in_schema=False)
def document() -> Response:
    """This endpoint's OpenAPI document."""
    return JSONResponse(openapi.build_document(app))


@app.get("/explain/{answer_id}")
def explain(
    request: Request,
    answer_id: Annotated[str, Path(description="The `id` of a response.", examples=["0f8e3c5a"], max_length=64)],
) -> Explanation:
    """How an answer came about: prompt, every sentence and its fate, red flags, versions."""
    principal: Principal = request.state.principal
    found = current.personalizer().explanations.find(answer_id)
    if found is not None:
        audit.touch(found[0])
        if principal.allows(found[0]):
            return found[1]
    if principal.patients is not None:  # the same words for another patient's answer and for none
        raise ForeignPatientError(FOREIGN)
    raise UnknownAnswerError("no answer by this id is kept")


@app.get("/patients/{ref:path}/timeline")
def patient_timeline(
    request: Request,
    ref: Annotated[str, Path(description="A patient reference; slashes may be escaped.", examples=[PLACEHOLDER_ID])],
) -> Timeline:
    """The patient's signals over time, each value against their own past."""
    # with the method's modules, which a bento is built without
    from bentos.personalizer.patient.patient_events import read_events
    from bentos.personalizer.patient.timeline import build_timeline

    personalizer = current.personalizer()
    subject, row = personalizer.read_patient(request.state.principal, ref)
    settings, as_of = personalizer.settings, personalizer.settings.now()
    events = read_events(settings.events, personalizer.release.events, subject, as_of)
    return build_timeline(events, row, as_of)


@app.post("/draft")
def draft(request: Request, asked: PersonalizeRequest) -> DraftResponse:
    """A reply in sentences that the clinic has often written, each with its fact; for a clinician alone."""
    from bentos.drafts.draft_answer import answer_draft  # with the method's modules

    return answer_draft(current.personalizer(), request.state.principal, asked)


@app.post("/feedback")
def feedback(request: Request, given: FeedbackRequest) -> FeedbackReceipt:
    """Record a rating, preference, clinician's edit or comment; the next night learns from it."""
    from bentos.feedback.intake import record_feedback  # with the method's modules

    return record_feedback(current.personalizer(), request.state.principal, given)


@app.post("/disputes")
def dispute(request: Request, given: DisputeRequest) -> DisputeReceipt:
    """Record that a clinician calls a single fact wrong; from the next night on no prompt states it."""
    from bentos.feedback.disputes import record_dispute  # with the method's modules

    return record_dispute(current.personalizer(), request.state.principal, given)
