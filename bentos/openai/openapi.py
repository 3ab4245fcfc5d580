"""Describe the routes for OpenAPI: their bodies are parsed by hand."""

from __future__ import annotations

from typing import Any

from pmlm.api_types import PLACEHOLDER

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ERRORS = {
    "400": "the request breaks a rule; `param` names the field",
    "401": "no valid token",
    "403": "the token does not open this patient",
    "404": "the clinic has no such patient",
    "429": "too many requests, here or at the language model; `Retry-After` says when to try again",
    "502": "the language model gave no whole answer",
    "503": "too many requests at once, or every language model is resting; `Retry-After`",
    "504": "the one deadline has passed",
}


def _json(description: str, schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    content = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": description, "content": {"application/json": content}}


def _failures(*statuses: str) -> dict[str, Any]:
    return {status: _json(_ERRORS[status], _ERROR) for status in statuses}


_MESSAGES = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
            "content": {"type": ["string", "array", "null"], "items": {"type": "object"}},
        },
    },
}
_ASKED = {"role": "user", "content": "Is it normal to feel this tired?"}
_ANSWERED = {"role": "assistant", "content": "Your haemoglobin has fallen, which can make you tired."}

_PATIENT = {
    "name": "X-PMLM-Patient",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 200},
    "description": "Whose question it is, where neither `metadata.patient` nor `user` says so.",
}
_WHO = {
    "user": {"type": "string", "description": "The patient's reference."},
    "metadata": {"type": "object", "properties": {"patient": {"type": "string"}}},
}
_FAILURES = _failures("400", "401", "403", "404", "429", "502", "503", "504")
_PMLM = {"answer_id": "0f8e3c", "escalated": False, "red_flags": []}

COMPLETIONS: dict[str, Any] = {
    "parameters": [_PATIENT],
    "requestBody": {
        "required": True,
        **_json(
            "OpenAI's request. `user`, `metadata`, `safety_identifier` and `prompt_cache_key` are not forwarded; every "
            "other field is, unchanged, but system messages, which become one.",
            {
                "type": "object",
                "required": ["messages"],
                "properties": {
                    "model": {"type": "string"},
                    "messages": _MESSAGES,
                    **_WHO,
                    "stream": {"type": ["boolean", "null"]},
                    "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 8},
                },
            },
            {"model": "any", "user": PLACEHOLDER, "messages": [_ASKED]},
        ),
    },
    "responses": {
        "200": {
            "description": "OpenAI's answer, with what PMLM says of it under `pmlm`; its id for `/explain` is in "
            "`X-PMLM-Answer-Id`. Streamed as server-sent events where asked for.",
            "content": {
                "application/json": {
                    "schema": {"type": "object", "required": ["id", "object", "choices", "pmlm"]},
                    "example": {
                        "id": "chatcmpl-0f8e3c",
                        "object": "chat.completion",
                        "choices": [{"index": 0, "message": _ANSWERED, "finish_reason": "stop"}],
                        "pmlm": _PMLM,
                    },
                },
                "text/event-stream": {"schema": {"type": "string"}},
            },
        },
        **_FAILURES,
    },
}
_ITEMS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "type": {"enum": ["message", "function_call", "function_call_output"]},
            "role": {"enum": ["system", "developer", "user", "assistant"]},
        },
    },
}
_TEXT = {"type": "output_text", "text": _ANSWERED["content"], "annotations": []}
CREATION: dict[str, Any] = {
    "parameters": [_PATIENT],
    "requestBody": {
        "required": True,
        **_json(
            "OpenAI's request, sent on as a chat. What needs something stored (`previous_response_id`, `conversation`, "
            "`background`, `store: true`, `prompt`), a tool that OpenAI runs or a parameter unknown here is refused.",
            {
                "type": "object",
                "required": ["input"],
                "properties": {
                    "model": {"type": "string"},
                    "input": {"anyOf": [{"type": "string"}, _ITEMS]},
                    "instructions": {"type": ["string", "null"]},
                    **_WHO,
                    "stream": {"type": ["boolean", "null"]},
                    "max_output_tokens": {"type": ["integer", "null"], "minimum": 1},
                    "tools": {"type": ["array", "null"], "items": {"type": "object"}},
                },
            },
            {"model": "any", "user": PLACEHOLDER, "input": _ASKED["content"]},
        ),
    },
    "responses": {
        "200": {
            "description": "OpenAI's response, with what PMLM says of it under `pmlm`; its id for `/explain` is in "
            "`X-PMLM-Answer-Id`. Streamed as OpenAI's events where asked for.",
            "content": {
                "application/json": {
                    "schema": {"type": "object", "required": ["id", "object", "status", "output", "pmlm"]},
                    "example": {
                        "id": "resp_0f8e3c",
                        "object": "response",
                        "status": "completed",
                        "output": [
                            {
                                "id": "msg_resp_0f8e3c",
                                "type": "message",
                                "role": "assistant",
                                "status": "completed",
                                "content": [_TEXT],
                            }
                        ],
                        "pmlm": _PMLM,
                    },
                },
                "text/event-stream": {"schema": {"type": "string"}},
            },
        },
        **_FAILURES,
    },
}
MODELS: dict[str, Any] = {
    "responses": {
        "200": _json("OpenAI's list of models.", {"type": "object", "required": ["object", "data"]}),
        **_failures("401"),
    }
}
