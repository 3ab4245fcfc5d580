"""Whoever tells of a red flag gets the escalation, however late a busy machine is; others get a timely refusal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bentos.openai.chat.chat_request import read_chat_request
from bentos.openai.deadline import finish_in_time


async def _late() -> Any:
    await asyncio.sleep(0.2)
    return "prepared"


def _prepared(*messages: str) -> Any:
    """What becomes of a request whose deadline is over before it was prepared."""
    contents = [{"role": "user", "content": words} for words in messages]
    asked = read_chat_request(json.dumps({"model": "any", "user": "ada", "messages": contents}).encode(), None)

    async def answer() -> Any:
        return await finish_in_time(_late(), asked, asyncio.get_running_loop().time() + 0.01)

    return asyncio.run(answer())


@pytest.mark.parametrize(
    "messages",
    [
        ("I am bleeding heavily and soaking a pad an hour.",),
        ("我大出血，一小时湿透一片卫生巾。",),
        ("My baby has not moved since yesterday.", "Is that normal?"),
    ],
)
def test_a_flagged_question_is_waited_for(messages: tuple[str, ...]) -> None:
    assert _prepared(*messages) == "prepared"


def test_another_is_given_up_at_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        _prepared("Is it normal to feel this tired?")
