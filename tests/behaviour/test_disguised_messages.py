"""A disguised message gets at least the label of its plain words, and undoing a disguise hides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confusable_homoglyphs.confusables import confusables_data
from hypothesis import given, settings
from hypothesis import strategies as st

from models.safety.text.look_alikes import is_invisible
from models.safety.text.number_words import convert_number_words
from models.safety.triage.rules import TriageContext, _flag_reading, find_gravest_label, find_red_flags
from models.safety.triage.text_normalization import normalize_text
from pipelines.triage import corpus

GRAVITY = {"routine": 0, "urgent": 1, "emergency": 2}
MESSAGES = (
    "I have chest pain and cannot breathe",
    "I am bleeding heavily and soaking a pad every ten minutes",
    "I want to end my life",
    "my baby has not moved since yesterday",
    "I had a seizure this morning",
    "我胸口疼，喘不上气",
    "宝宝从昨天到现在都没动",
    "我不想活了",
)
HIDDEN = [chr(c) for c in range(0x20, 0x110000) if is_invisible(chr(c))]
MARKS = [chr(c) for c in (*range(0x300, 0x370), *range(0x1AB0, 0x1ABE), *range(0x20D0, 0x20F1), *range(0xFE20, 0xFE30))]
LOOKS_LIKE = {
    letter: [c for e in confusables_data.get(letter, ()) if len(c := str(e["c"])) == 1 and not c.isascii()]
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
}


def _weigh(text: str) -> int:
    return GRAVITY[find_gravest_label(find_red_flags(text))]


def _insert(draw: st.DrawFn, text: str, inserted: list[str]) -> str:
    places = draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=12))
    for place in sorted(places, reverse=True):
        text = text[:place] + draw(st.sampled_from(inserted)) + text[place:]
    return text


@st.composite
def disguised(draw: st.DrawFn) -> tuple[str, str]:
    """A message, and the same with hidden characters, marks and look-alikes anywhere."""
    plain = text = draw(st.sampled_from(MESSAGES))
    kinds = draw(st.sets(st.sampled_from(["hidden", "marks", "looks"]), min_size=1))
    if "looks" in kinds:
        odds = draw(st.integers(1, 4))
        text = "".join(
            draw(st.sampled_from(LOOKS_LIKE[c])) if LOOKS_LIKE.get(c) and draw(st.integers(1, 4)) <= odds else c
            for c in text
        )
    text = _insert(draw, text, MARKS) if "marks" in kinds else text
    return plain, _insert(draw, text, HIDDEN) if "hidden" in kinds else text


@pytest.mark.attack(
    "safety messages", "hidden characters, combining marks and look-alikes within a warning sign", "the same escalation"
)
@settings(max_examples=300, deadline=None)
@given(disguised())
def test_a_disguise_keeps_the_label(both: tuple[str, str]) -> None:
    plain, text = both
    assert _weigh(text) >= _weigh(plain) > 0


def _space(text: str) -> str:
    return "  ".join(" ".join(word) for word in text.split())


@pytest.mark.attack("safety messages", "spaced, dotted, struck, full-width or cut letters", "the same escalation")
@pytest.mark.parametrize(
    "disguise",
    [
        _space,
        lambda text: " ".join(text.replace(" ", "")),
        lambda text: " ".join(".".join(word) for word in text.split()),
        lambda text: " ".join("-".join(word) for word in text.split()),
        lambda text: "".join(f"{c}\u0336" for c in text),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
        lambda text: "\u200b".join(text),
        lambda text: text.replace(" ", "\u200b"),
        lambda text: text.replace(" ", "\u3164"),
        lambda text: f"\u202e{text}\u202c",
    ],
)
@pytest.mark.parametrize("message", MESSAGES)
def test_letters_taken_apart_are_read(message: str, disguise: Callable[[str], str]) -> None:
    assert _weigh(disguise(message)) >= _weigh(message)


@pytest.mark.parametrize("message", corpus.read_judged()[::60], ids=lambda m: m["id"])
def test_undoing_a_disguise_hides_no_sign(message: dict[str, object]) -> None:
    text = str(message["text"])
    as_written = {f.sign for f in _flag_reading(convert_number_words(normalize_text(text)), "en", TriageContext())}
    assert as_written <= {f.sign for f in find_red_flags(text)}


@pytest.mark.parametrize(
    "text",
    ["I feel well. How do I pack my bag?", "Как дела? Когда мне прийти?", "我可以游泳吗", "Group B strep: a, b or c?"],
)
def test_plain_routine_text_stays_routine(text: str) -> None:
    assert _weigh(text) == 0


@pytest.mark.attack("event loop", "a megabyte of adversarial text as a question", "triaged in linear time")
@pytest.mark.parametrize(
    "unit",
    [
        "chest pain ",
        "a ",
        "a-",
        "ab",
        "е",
        "сhеst páin ",
        "\u0316\u0301",
        "a\u200b",
        "!",
        "胸 口",
        "hundred and ",
        "baby -- ",
    ],
)
def test_a_megabyte_is_read_in_linear_time(unit: str) -> None:
    started = time.process_time()
    find_red_flags(unit * (1_000_000 // len(unit)))
    assert time.process_time() - started < 30  # seconds on a busy machine; a quadratic pass takes minutes
