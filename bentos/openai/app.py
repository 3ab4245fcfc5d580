"""``/v1/chat/completions`` and ``/v1/models``: what OpenAI's clients call, mounted at ``/v1``."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from bentos.openai.connection import ClientGoneError
from bentos.openai.errors import GatewayError
from bentos.openai.openapi import COMPLETIONS, MODELS
from bentos.personalizer import current

if TYPE_CHECKING:
    from bentos.llm.llm_client import LLMClient
    from bentos.openai.gateway import ChatGateway
    from bentos.personalizer.personalizer import Personalizer

app = FastAPI(title="PMLM, OpenAI-compatible", docs_url=None, redoc_url=None, openapi_url=None)
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
    return await open_gateway().respond(request)


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
    return await _answer_error(request, GatewayError(error.status_code, HTTPStatus(error.status_code).phrase.lower()))


@app.exception_handler(Exception)
async def _answer_unexpected(request: Request, error: Any) -> Response:
    return await _answer_error(request, GatewayError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error"))
