"""Give a preparation up at its deadline, unless a red flag needs an escalation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from bentos.openai.chat.chat_request import ChatRequest
from models.safety.triage.message_parts import list_readings
from models.safety.triage.rules import find_red_flags
from pmlm.api_types import MAX_QUESTION

T = TypeVar("T")
#: A machine too busy to prepare an answer by the deadline has this long more for one that begins with an escalation.
FLAGGED_S = 20.0


async def finish_in_time(preparing: Coroutine[Any, Any, T], chat: ChatRequest, until: float) -> T:
    """What is prepared, by the deadline, or later where a red flag needs an escalation.

    ``TimeoutError`` where it is not.
    """
    task = asyncio.ensure_future(preparing)
    try:
        left = until - asyncio.get_running_loop().time()
        await asyncio.wait({task}, timeout=max(0.0, left))
        if not task.done() and await asyncio.to_thread(_holds_red_flag, chat):
            await asyncio.wait({task}, timeout=FLAGGED_S)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()


def _holds_red_flag(chat: ChatRequest) -> bool:
    """Whether the rules alone find a red flag in the question or an earlier message."""
    texts = (*list_readings(chat.parts), *(text[:MAX_QUESTION] for text in chat.earlier))
    return any(find_red_flags(text) for text in texts)
