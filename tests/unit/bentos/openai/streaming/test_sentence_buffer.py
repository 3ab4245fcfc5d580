"""A stream's text is released whole and in order, however it is cut, and nothing is released unchecked."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentos.openai.streaming.sentence_buffer import LONGEST_SENTENCE, SentenceBuffer

TEXT = "Rest. Your value is 9.8 g/dL, e.g. as in May! See Dr. Li today… 请多休息。Then\n- drink water\n- sleep"


def passed(gate: SentenceBuffer, pieces: list[str]) -> list[str]:
    released = [gate.feed(piece) for piece in pieces] + [gate.flush()]
    return [text for text in released if text]


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=60))
def test_any_cut_releases_the_same_text(sizes: list[int]) -> None:
    pieces, rest = [], TEXT
    for size in sizes:
        pieces, rest = [*pieces, rest[:size]], rest[size:]
    assert "".join(passed(SentenceBuffer(lambda text: ()), [*pieces, rest])) == TEXT


def test_sentences_are_released_at_their_end_and_not_within_numbers_or_abbreviations() -> None:
    released = passed(SentenceBuffer(lambda text: ()), list(TEXT))
    assert [text.strip() for text in released if text.strip()] == [
        "Rest.",
        "Your value is 9.8 g/dL, e.g. as in May!",
        "See Dr. Li today…",
        "请多休息。",
        "Then",
        "- drink water",
        "- sleep",
    ]


def test_a_sentence_that_comes_whole_is_released_at_once() -> None:
    assert SentenceBuffer(lambda text: ()).feed("Rest when you can.") == "Rest when you can."


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_the_check_objects_to_is_never_released_nor_anything_after_it(size: int) -> None:
    gate = SentenceBuffer(lambda text: ("bad",) if "poison" in text else ())
    text = "Good one. Take the poison now. Good again."
    released = "".join(passed(gate, [text[i : i + size] for i in range(0, len(text), size)]))
    assert released.strip() == "Good one."
    assert gate.findings == ("bad",)


def test_a_sentence_is_checked_together_with_the_one_before_it() -> None:
    seen: list[str] = []
    gate = SentenceBuffer(lambda text: seen.append(text) or ())  # type: ignore[func-returns-value]
    passed(gate, ["Do not take it. ", "Ever. ", "Rest."])
    assert any("Do not take it." in text and "Ever." in text for text in seen)


def test_text_without_an_end_is_cut_and_checked_in_pieces() -> None:
    seen: list[str] = []
    gate = SentenceBuffer(lambda text: seen.append(text) or ())  # type: ignore[func-returns-value]
    text = "word " * 5000
    assert "".join(passed(gate, [text])) == text
    assert max(map(len, seen)) <= 2 * LONGEST_SENTENCE


@pytest.mark.attack("event loop", "an upstream that streams 64 kB without the end of a sentence", "read in one pass")
@pytest.mark.parametrize("repeated", ["a", ".", ".'", "\n", "word ", "我", "e.g. ", "!?", " "])
def test_a_long_answer_is_searched_once_however_it_comes(repeated: str) -> None:
    text = (repeated * 65536)[:65536]
    gate, started = SentenceBuffer(lambda text: ()), time.process_time()
    assert "".join(passed(gate, list(text))) == text
    assert time.process_time() - started < 30.0  # a search per piece takes minutes
