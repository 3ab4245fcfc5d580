"""The CDS Hooks app: discovery, the services, and feedback on their cards."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bentos.auth.principal import Principal
from bentos.cds import services
from bentos.cds.cds_types import Cards, Discovery, FeedbackSent, HookRequest
from bentos.personalizer import current
from bentos.problems import refusals
from bentos.telemetry import metrics
from pmlm.api_types import Language

app = FastAPI(title="PMLM, CDS Hooks", docs_url=None, redoc_url=None, openapi_url=None)
refusals.install(app)

ServiceId = Annotated[str, Path(description="A service that discovery lists.", examples=[services.VIEW], max_length=64)]


@app.get("/cds-services", response_model=Discovery)
@app.get("/cds-services/", include_in_schema=False)
def discover() -> Response:
    """The services there are (CDS Hooks 2.0, discovery)."""
    return JSONResponse(services.discovery().model_dump(mode="json", exclude_none=True))


@app.post("/cds-services/{service_id}", response_model=Cards)
def call(
    request: Request,
    service_id: ServiceId,
    asked: HookRequest,
    accept_language: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Cards for one moment of the workflow; an empty list where there is nothing to say."""
    if asked.hook not in _hooks(service_id):
        raise RequestValidationError(
            [{"loc": ("body", "hook"), "msg": "is not a hook of this service", "type": "hook"}]
        )
    principal: Principal = request.state.principal
    language: Language = "zh" if accept_language.lower().startswith("zh") else "en"
    cards = services.answers(service_id)(current.personalizer(), principal, asked, language)
    for card in cards:
        metrics.CARDS.labels(asked.hook, card.indicator).inc()
    value: dict[str, Any] = Cards(cards=cards).model_dump(mode="json", exclude_none=True)
    return JSONResponse(value)


@app.post("/cds-services/{service_id}/feedback", response_class=Response, responses={200: {"content": {}}})
def feedback(request: Request, service_id: ServiceId, sent: FeedbackSent) -> Response:
    """What became of some cards; kept all or none."""
    from bentos.cds import feedback as taking

    _hooks(service_id)
    taking.take(current.personalizer(), request.state.principal, sent)
    return Response(status_code=HTTPStatus.OK)


def _hooks(service_id: str) -> frozenset[str]:
    found: frozenset[str] = services.hooks(service_id)
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found
