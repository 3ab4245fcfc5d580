"""A prompt that does not fit loses the policy's last picks first, and pinned facts never."""

from __future__ import annotations

import pytest

from bentos.openai.chat.errors import GatewayError
from bentos.openai.context_budget import PER_MESSAGE, PIECE, fit_prompt
from models.prompt.personalize import Personalized, apply_program
from models.prompt.rendering import render_prompt
from models.schema import EditProgram, Segment

SEGMENTS = (
    Segment("safety", "pinned", "Never say how much to take.", pinned=True),
    Segment("allergies", "pinned", "She is allergic to penicillin.", pinned=True),
    *(Segment(f"free{i}", "record", f"Free fact number {i} about her.") for i in range(4)),
)
MESSAGES = [{"role": "user", "content": "May I rest?"}]


def count(text: str) -> int:
    return len(text.split())


def made(*picks: str) -> Personalized:
    program = EditProgram(picks=picks)
    prompt, picked = apply_program(SEGMENTS, program)
    initial = render_prompt(SEGMENTS)
    return Personalized(initial, prompt, SEGMENTS, picked, (), program, (), "plain", "en")


def room_for(prompt: str) -> int:
    """The context in which this prompt and the messages just fit, nothing reserved."""
    return count(prompt) + count(MESSAGES[0]["content"]) + PER_MESSAGE * 2


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_the_last_picks_give_way_first(left: int) -> None:
    whole = made("free2", "free0", "free3")
    shorter, _ = apply_program(SEGMENTS, EditProgram(picks=whole.kept[:left]))
    prompt, picks = fit_prompt(whole, MESSAGES, room_for(shorter), 0, count)
    assert (prompt, picks) == (shorter, left)
    assert "allergic to penicillin" in prompt


def test_a_model_whose_context_is_not_known_gets_everything() -> None:
    whole = made("free2", "free0")
    assert fit_prompt(whole, MESSAGES, None, None, count) == (whole.prompt, 2)


def test_what_cannot_fit_without_pinned_facts_is_refused() -> None:
    bare, _ = apply_program(SEGMENTS, EditProgram(picks=()))
    with pytest.raises(GatewayError) as refused:
        fit_prompt(made("free1"), MESSAGES, room_for(bare) - 1, 0, count)
    assert refused.value.code == "context_length_exceeded"


def test_tool_calls_and_the_answers_length_count_too() -> None:
    whole = made("free1")
    calls = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": "a " * 40}}]}]
    room = room_for(whole.prompt)
    assert fit_prompt(whole, MESSAGES, room, 0, count)[1] == 1
    for messages, reserve in ((MESSAGES, 9), (calls, 0)):
        with pytest.raises(GatewayError):
            fit_prompt(whole, messages, room - 0, reserve + 40, count)


@pytest.mark.attack(
    "event loop", "a system message of 1 MB for a small context", "counting stops at the context's size"
)
def test_no_more_is_counted_than_fits() -> None:
    counted: list[int] = []

    def count_characters(text: str) -> int:
        counted.append(len(text))
        return len(text)

    long = [{"role": "system", "content": "我" * 1_000_000}, *MESSAGES]
    with pytest.raises(GatewayError):
        fit_prompt(made("free1"), long, 4096, 0, count_characters)
    assert sum(counted) < 3 * 4096
    assert max(counted) <= PIECE
