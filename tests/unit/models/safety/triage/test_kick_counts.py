"""A count of movements is flagged exactly where it is below the message's own target."""

from __future__ import annotations

import pytest

from models.safety.triage.kick_counts import flag_kick_counts
from models.safety.triage.text_normalization import normalize_text, split_sentences


def _is_flagged(message: str) -> bool:
    return bool(list(flag_kick_counts(split_sentences(normalize_text(message)))))


@pytest.mark.parametrize(
    "message",
    [
        "I should feel ten kicks in two hours and I got six.",
        "My midwife says at least 10 movements. Only 4 so far today.",
        "Kick count: goal 10 in 2 hours, reached seven.",
        "She usually does 12 kicks by noon. Today just three.",
        "Supposed to get 10 kicks, it took three hours to get 8.",
        "We were told to expect ten kicks. First go 2 kicks, second go one.",
        "胎动应该10次，今天才3次",
        "要求两小时数够10次胎动，我数了三个小时只有五次",
    ],
)
def test_a_count_below_its_target_is_flagged(message: str) -> None:
    assert _is_flagged(message)


@pytest.mark.parametrize(
    "message",
    [
        "I should feel ten kicks in two hours and I got twelve.",
        "Supposed to get 10 kicks in 2 hours, she did 10 in twenty minutes.",
        "Kick chart: target 10, got 14 in half an hour.",
        "Yesterday 11 kicks, today 12 kicks.",
        "How many kicks should I expect per hour at 30 weeks?",
        "I should drink 8 glasses, had five, baby kicks.",
        "The goal is ten and I have two children.",
        "胎动应该10次，半小时就有12次",
        "我28周，胎动很好",
    ],
)
def test_a_count_at_its_target_or_none_at_all_is_not(message: str) -> None:
    assert not _is_flagged(message)
