"""The native app (FastAPI): health, metrics, explanations."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Annotated

import prometheus_client
from fastapi import FastAPI, Path, Request, Response
from prometheus_client import CollectorRegistry, multiprocess

from bentos import current
from bentos.access.principal import FOREIGN, Principal
from bentos.api_types import Explanation, Health
from bentos.native import refusals
from pipelines.errors import ForeignPatientError, UnknownAnswerError

app = FastAPI(title="PMLM", docs_url=None, redoc_url=None, openapi_url=None)
refusals.install(app)


@app.get("/livez")
@app.get("/healthz", include_in_schema=False)
def livez() -> Response:
    """Whether the process answers at all."""
    return Response(status_code=HTTPStatus.OK)


@app.get("/readyz")
def readyz() -> Health:
    """Which release is served, for which features."""
    served = current.personalizer().release
    return Health(
        release=served.id,
        bento=served.bento,
        night=served.night,
        refiner=served.refiner,
        feature_service=served.feature_service,
        feature_schema=served.feature_schema,
    )


@app.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    """Prometheus metrics of all workers; for this machine only."""
    registry = prometheus_client.REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # set by BentoML: each worker writes its own files
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return Response(prometheus_client.generate_latest(registry), media_type=prometheus_client.CONTENT_TYPE_LATEST)


@app.get("/explain/{answer_id}")
def explain(
    request: Request,
    answer_id: Annotated[str, Path(description="The `id` of a response.", examples=["0f8e3c"], max_length=64)],
) -> Explanation:
    """How an answer came about: prompt, every sentence and its fate, red flags, versions."""
    principal: Principal = request.state.principal
    found = current.personalizer().explanations.find(answer_id)
    if found is not None and principal.allows(found[0]):
        return found[1]
    if principal.patients is not None:  # the same words for another patient's answer and for none
        raise ForeignPatientError(FOREIGN)
    raise UnknownAnswerError("no answer by this id is kept")
