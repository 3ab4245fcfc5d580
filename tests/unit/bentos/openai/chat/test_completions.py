"""What of a whole completion is shown."""

from __future__ import annotations

import pytest

from bentos.openai.chat.completions import AnswerOutcome, check_choices
from bentos.personalizer.llm_answer import LONGEST_TEXT


@pytest.mark.attack("event loop", "an upstream that answers 1 MB at once", "cut at 64 kB before it is checked")
def test_an_endless_answer_is_cut_before_it_is_checked() -> None:
    seen: list[str] = []
    completion = {"choices": [{"message": {"content": "a" * 1_000_000}, "finish_reason": "stop"}]}
    (choice,) = check_choices(completion, lambda text: seen.append(text) or (), "en", AnswerOutcome("m"))  # type: ignore[func-returns-value]
    assert len(choice["message"]["content"]) == LONGEST_TEXT
    assert choice["finish_reason"] == "length"
    assert max(map(len, seen)) == LONGEST_TEXT
