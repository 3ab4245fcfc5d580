"""OpenAI's two APIs: how each reads its request and writes its answer.

Everything between is the same for both: both end as a chat with a language model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bentos.openai.chat.chat_request import ChatRequest, read_chat_request
from bentos.openai.chat.completions import build_completion
from bentos.openai.responses.response_events import ResponseWriter
from bentos.openai.responses.response_object import build_response
from bentos.openai.responses.response_request import read_response_request
from bentos.openai.streaming.answer_writer import AnswerWriter, ChunkWriter

Pmlm = Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Surface:
    """One of the APIs: ``name`` is its endpoint in records, ``prefix`` that of its answers' ids.

    The member ``pmlm`` of an answer is asked for when it is written, because it changes until the answer ends.
    """

    name: str
    prefix: str
    read: Callable[[bytes, str | None, bool], ChatRequest]
    build: Callable[[str, ChatRequest, dict[str, Any], dict[str, Any]], dict[str, Any]]
    open_writer: Callable[[str, ChatRequest, str, Pmlm], AnswerWriter]


CHAT = Surface(
    "chat",
    "chatcmpl-",
    lambda raw, header, merge: read_chat_request(raw, header, merge=merge),
    build_completion,
    lambda id_, chat, model, pmlm: ChunkWriter(id_, model, pmlm(), chat.wants_usage),
)
RESPONSES = Surface(
    "responses",
    "resp_",
    lambda raw, header, merge: read_response_request(raw, header, merge=merge),
    build_response,
    lambda id_, chat, model, pmlm: ResponseWriter(id_, chat, model, pmlm),
)
