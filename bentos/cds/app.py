"""The CDS Hooks app: discovery, services, feedback on cards, and CORS."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from bentos.auth.principal import Principal
from bentos.cds import services
from bentos.cds.cds_types import Cards, Discovery, FeedbackSent, HookRequest
from bentos.personalizer import current
from bentos.problems import error_handlers
from bentos.problems.problem_details import App, Receive, Scope, Send
from bentos.telemetry import metrics
from pmlm.api_types import Language
from pmlm.settings import Settings, load_settings

app = FastAPI(title="PMLM, CDS Hooks", docs_url=None, redoc_url=None, openapi_url=None)
error_handlers.install(app)

PREFIX = "/cds-services"
HEADERS = ("authorization", "content-type", "accept-language")
MAX_AGE_S = 600

ServiceId = Annotated[str, Path(description="A service that discovery lists.", examples=[services.VIEW], max_length=64)]


@app.get("/cds-services", response_model=Discovery)
@app.get("/cds-services/", include_in_schema=False)
def discover() -> Response:
    """The services there are (CDS Hooks 2.0, discovery)."""
    return JSONResponse(services.build_discovery().model_dump(mode="json", exclude_none=True))


@app.post("/cds-services/{service_id}", response_model=Cards)
def call(
    request: Request,
    service_id: ServiceId,
    hook_request: HookRequest,
    accept_language: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Cards for one moment of the workflow; none where there is nothing to say."""
    if hook_request.hook not in _require_hooks(service_id):
        raise RequestValidationError(
            [{"loc": ("body", "hook"), "msg": "is not a hook of this service", "type": "hook"}]
        )
    principal: Principal = request.state.principal
    language: Language = "zh" if accept_language.lower().startswith("zh") else "en"
    cards = services.find_service(service_id)(current.personalizer(), principal, hook_request, language)
    for card in cards:
        metrics.CARDS.labels(hook_request.hook, card.indicator).inc()
    value: dict[str, Any] = Cards(cards=cards).model_dump(mode="json", exclude_none=True)
    return JSONResponse(value)


@app.post("/cds-services/{service_id}/feedback", response_class=Response, responses={200: {"content": {}}})
def feedback(request: Request, service_id: ServiceId, sent: FeedbackSent) -> Response:
    """What became of some cards; recorded all or none."""
    from bentos.cds.feedback import record_card_feedback

    _require_hooks(service_id)
    record_card_feedback(current.personalizer(), request.state.principal, sent)
    return Response(status_code=HTTPStatus.OK)


def _require_hooks(service_id: str) -> frozenset[str]:
    found: frozenset[str] = services.hooks_of(service_id)
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return found


class CdsCorsMiddleware:
    """ASGI middleware: CORS for CDS clients in a browser, as CDS Hooks requires.

    Outside of the access middleware, so that a preflight (which has no token) is answered and a refusal can be read.
    Nothing depends on cookies: a page of another origin gets nothing without a token of its own, so any origin may ask
    unless ``PMLM_CDS_ORIGINS`` names some.
    """

    def __init__(self, app: App, settings: Settings | None = None) -> None:
        self._app = app
        origins = (settings or load_settings()).cds_origins.replace(",", " ").split()
        self._with_cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=HEADERS,
            expose_headers=["retry-after", "www-authenticate"],
            max_age=MAX_AGE_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        below = scope["type"] == "http" and (scope["path"] == PREFIX or scope["path"].startswith(f"{PREFIX}/"))
        await (self._with_cors if below else self._app)(scope, receive, send)
