"""Fit the hard prompt into the language model's context: free facts give way, nothing else.

    p_k = render(S_0 ∪ a_1…a_k),   k = max { k : tokens(p_k) + tokens(messages) + reserve ≤ context }

The policy's own order of choice says what gives way first: the last pick. Tokens are those of the embedded model's
tokenizer; other models' differ by a few in a hundred, Chinese text counts for more here than elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from typing import Any

from bentos.openai.chat.errors import GatewayError
from models.prompt.personalize import Personalized, apply_program
from pmlm.api_types import PersonalizeResponse

RESERVE = 256  # tokens left for an answer whose length the application does not say
PIECE = 2000  # characters that are counted at once: a tokenizer takes long for a long word
PER_MESSAGE = 6  # tokens of a chat template around each message


def fit_prompt(
    personalized: Personalized,
    messages: list[dict[str, Any]],
    context: int | None,
    reserve: int | None,
    count: Callable[[str], int],
    field: str = "messages",
) -> tuple[str, int]:
    """The prompt, and how many of the policy's picks fit; all where ``context`` is unknown.

    :class:`GatewayError` (400, ``context_length_exceeded``) where messages and pinned facts alone are too long;
    ``field`` names the messages.
    """
    if context is None:
        return personalized.prompt, len(personalized.kept)
    room = context - (RESERVE if reserve is None else reserve) - PER_MESSAGE * (len(messages) + 1)
    texts = [_message_text(message) for message in messages]
    # a token is at least one byte: most requests need no counting
    if sum(len(text.encode()) for text in (personalized.prompt, *texts)) <= room:
        return personalized.prompt, len(personalized.kept)
    for piece in chain.from_iterable(map(_split_pieces, texts)):
        room -= count(piece)
        if room < 0:
            break
    for picks in range(len(personalized.kept) if room > 0 else -1, -1, -1):
        prompt, _ = apply_program(
            personalized.segments, replace(personalized.program, picks=personalized.kept[:picks]), personalized.language
        )
        if count(prompt) <= room:
            return prompt, picks
    raise GatewayError(
        HTTPStatus.BAD_REQUEST,
        f"the messages and the facts that are never left out exceed the model's context of {context} tokens",
        param=field,
        code="context_length_exceeded",
    )


def _split_pieces(text: str) -> Iterator[str]:
    """Pieces that a tokenizer reads at once; each cut adds a token at most."""
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def mark_dropped(response: PersonalizeResponse, prompt: str, picks: int) -> PersonalizeResponse:
    """``response`` with this prompt, and the picks from number ``picks`` on marked as left out."""
    if prompt == response.prompt:
        return response
    segments = [
        s.model_copy(update={"kept": False, "position": None}) if s.position is not None and s.position >= picks else s
        for s in response.segments
    ]
    return response.model_copy(update={"prompt": prompt, "segments": segments})


def _message_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    rest = {name: value for name, value in message.items() if name not in ("role", "content")}
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return text + (json.dumps(rest, ensure_ascii=False) if rest else "")
