"""Gain regressors pick what was useful, within the caps, and read or know keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from models.refiner import gain_regressors
from models.refiner.interface import STYLES, Caps
from models.schema import Segment

CAPS = Caps(picks=2, tokens=20)
QUESTIONS = ("Why am I tired?", "Which pill suits me?")


class Words:
    """A little encoder: texts that share words have a high cosine."""

    id = "words"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        out = np.full((len(texts), 64), 0.01)
        for row, text in zip(out, texts, strict=True):
            for word in text.lower().strip("?.").split():
                row[hashlib.blake2b(word.encode(), digest_size=2).digest()[0] % 64] += 1
        return out / np.linalg.norm(out, axis=1, keepdims=True)


def segment(key: str, text: str, tokens: int = 8, pinned: bool = False) -> Segment:
    return Segment(key, "pinned" if pinned else "record", text, pinned=pinned, tokens=tokens)


PINNED = segment("safety", "Call for help.", pinned=True)
IRON = segment("haemoglobin.latest", "Her haemoglobin was 9.8 g/dL.")
MIGRAINE = segment("condition.migraine", "She has migraine with aura.")
ASTHMA = segment("condition.asthma", "Asthma: none.")
SEGMENTS = (PINNED, IRON, MIGRAINE, ASTHMA)


def measured() -> list[gain_regressors.MeasuredEpisode]:
    """Tired: the haemoglobin helps. Pill: migraine helps. Asthma never does."""
    gains = {QUESTIONS[0]: [np.nan, 0.4, -0.05, -0.1], QUESTIONS[1]: [np.nan, -0.05, 0.5, -0.1]}
    styles = np.array([0.0, 0.2, -0.1])
    return [
        gain_regressors.MeasuredEpisode(q, subject, SEGMENTS, np.array(gains[q]), styles)
        for subject in range(10)
        for q in QUESTIONS
    ]


@pytest.mark.parametrize("name", ["table", "regressor"])
def test_it_keeps_what_was_useful_for_such_a_question(name: str) -> None:
    learnt = getattr(gain_regressors, f"fit_{name}")(measured(), CAPS, Words())
    assert learnt.refine(QUESTIONS[0], SEGMENTS).picks[0] == IRON.key
    assert learnt.refine(QUESTIONS[1], SEGMENTS).picks[0] == MIGRAINE.key
    assert ASTHMA.key not in learnt.refine(QUESTIONS[1], SEGMENTS).picks


def test_the_fixed_ranking_is_the_same_for_every_question() -> None:
    learnt = gain_regressors.fit_fixed(measured(), CAPS)
    picks = {learnt.refine(q, SEGMENTS).picks for q in QUESTIONS}
    assert picks == {(MIGRAINE.key, IRON.key)}


def test_a_table_has_nothing_to_say_of_a_key_it_has_not_seen_and_a_regressor_reads_it() -> None:
    renamed = segment("other.key", IRON.text)
    assert gain_regressors.fit_table(measured(), CAPS, Words()).refine(QUESTIONS[0], (PINNED, renamed)).picks == ()
    assert gain_regressors.fit_regressor(measured(), CAPS, Words()).refine(QUESTIONS[0], (PINNED, renamed)).picks == (
        "other.key",
    )


@pytest.mark.parametrize("name", ["table", "regressor"])
def test_the_caps_hold_and_nothing_pinned_is_picked(name: str) -> None:
    learnt = getattr(gain_regressors, f"fit_{name}")(measured(), Caps(picks=3, tokens=8), Words())
    for question in (*QUESTIONS, "", "另一个问题"):
        program = learnt.refine(question, SEGMENTS)
        assert len(program.picks) <= 1
        assert PINNED.key not in program.picks
        assert program.style == STYLES[1]
    assert learnt.refine(QUESTIONS[0], ()).picks == ()


def test_the_wording_of_a_state_is_the_sentence_without_its_numbers() -> None:
    assert gain_regressors.mask_numbers("Hb 9.8 g/dL 3 weeks ago") == gain_regressors.mask_numbers(
        "Hb 11 g/dL 2 weeks ago"
    )
