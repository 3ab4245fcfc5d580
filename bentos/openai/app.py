"""``/v1/chat/completions``, ``/v1/responses`` and ``/v1/models``: what OpenAI's clients call, mounted at ``/v1``."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from bentos.openai.chat.errors import GatewayError
from bentos.openai.openapi import COMPLETIONS, CREATION, MODELS
from bentos.openai.streaming.event_stream import ClientGoneError
from bentos.personalizer import current

if TYPE_CHECKING:
    from bentos.llm.llm_client import LLMClient
    from bentos.openai.gateway import ChatGateway
    from bentos.personalizer.personalizer import Personalizer

app = FastAPI(title="PMLM, OpenAI-compatible", docs_url=None, redoc_url=None, openapi_url=None)
METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
#: What the router refuses → words and OpenAI's code for it.
NO_ROUTE = {
    HTTPStatus.NOT_FOUND: (
        "there is no such route here: /v1/chat/completions, /v1/responses and /v1/models are served, nothing else",
        "unknown_url",
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: ("this route takes another method: Allow names it", "method_not_supported"),
}
#: By language model and loop: a service's releases share one, and so a gateway with its queue.
_gateways: dict[tuple[LLMClient, asyncio.AbstractEventLoop], ChatGateway] = {}


def open_gateway() -> ChatGateway:
    """The gateway of this request's service and event loop, made on the first request."""
    from bentos.openai.gateway import ChatGateway  # a bento is built without loading a model

    personalizer = current.personalizer()
    key = (personalizer.llm, asyncio.get_running_loop())
    if key not in _gateways:
        _gateways[key] = ChatGateway(personalizer)
    return _gateways[key]


def find_refusal() -> GatewayError | None:
    """Why a chat would find no place now; None where it would."""
    served = current.newest()  # asked before a request is bound to its service
    gateway = _gateways.get((served.llm, asyncio.get_running_loop())) if served else None
    return gateway.refusal() if gateway else None


def close_gateway(personalizer: Personalizer) -> None:
    """End the threads of a service that shuts down."""
    gateway = _gateways.pop((personalizer.llm, asyncio.get_running_loop()), None)
    if gateway:
        gateway.close()


@app.post("/chat/completions", openapi_extra=COMPLETIONS)
async def chat_completions(request: Request) -> Response:
    """A chat completion, personalised: OpenAI's request and answer, streamed or not."""
    from bentos.openai.surfaces import CHAT  # with the method's modules

    return await open_gateway().respond(request, CHAT)


@app.post("/responses", openapi_extra=CREATION)
async def responses(request: Request) -> Response:
    """A response, personalised: OpenAI's newer request and answer, streamed or not; nothing is stored."""
    from bentos.openai.surfaces import RESPONSES  # with the method's modules

    return await open_gateway().respond(request, RESPONSES)


@app.get("/models", openapi_extra=MODELS)
async def models() -> JSONResponse:
    """The language models that may answer, first choice first."""
    return JSONResponse({"object": "list", "data": [_describe(model) for model in open_gateway().models]})


@app.get("/models/{model:path}", include_in_schema=False)
async def model(model: str) -> JSONResponse:
    """One of the language models that may answer."""
    if model not in open_gateway().models:
        raise GatewayError(HTTPStatus.NOT_FOUND, "there is no model by this name", "model", "model_not_found")
    return JSONResponse(_describe(model))


@app.api_route("/{path:path}", methods=METHODS, include_in_schema=False)
async def unknown_route(request: Request) -> Response:
    """Refuse what no other route takes; without this one BentoML would look for it elsewhere, and answer in its way."""
    scope = dict(request.scope)
    matching = [route for route in app.routes if route.matches(scope)[0] is Match.PARTIAL]
    allowed = sorted({method for route in matching for method in getattr(route, "methods", None) or ()})
    if allowed:
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)})
    raise HTTPException(HTTPStatus.NOT_FOUND)


def _describe(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "pmlm"}


@app.exception_handler(GatewayError)
async def _answer_error(request: Request, error: Any) -> Response:
    return JSONResponse(error.body, error.status, error.headers)


@app.exception_handler(ClientGoneError)
async def _answer_nobody(request: Request, error: Any) -> Response:
    return Response(status_code=499)  # nobody reads it; what a log calls a client that closed its request


@app.exception_handler(HTTPException)
async def _answer_no_route(request: Request, error: Any) -> Response:
    """What the router refuses, in OpenAI's shape; the path is not repeated, because it may name a patient."""
    status = HTTPStatus(error.status_code)
    message, code = NO_ROUTE.get(status, (status.phrase.lower(), None))
    answer = JSONResponse(GatewayError(status, message, code=code).body, status)
    answer.headers.update(error.headers or {})
    return answer


@app.exception_handler(Exception)
async def _answer_unexpected(request: Request, error: Any) -> Response:
    return await _answer_error(request, GatewayError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error"))
