"""Triage by rules over a file of messages, in English and Chinese, half of them traps.

The messages came in four rounds (``round``), each written before the rules had met it. On first meeting the emergency
recall of the rounds was .91, .80, .62 and .75, and the share of routine messages flagged .06, .20, .10 and .16; each
round then taught the table. So the figures asserted here say that nothing learnt is lost, not how unseen words fare:
for those, expect the lower ones.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.safety import Context, label_of, red_flags

MESSAGES = [json.loads(line) for line in (Path(__file__).parent / "red_flags.jsonl").read_text("utf-8").splitlines()]


def _label(message: dict[str, Any]) -> str:
    return label_of(red_flags(message["text"], message["lang"], Context(**message.get("context", {}))))


@pytest.fixture(scope="module")
def labels() -> dict[str, str]:
    return {m["id"]: _label(m) for m in MESSAGES}


def _escalated(labels: dict[str, str], where: Callable[[dict[str, Any]], bool]) -> float:
    """The share of the messages that got anything but routine."""
    found = [labels[m["id"]] != "routine" for m in MESSAGES if where(m)]
    return sum(found) / len(found)


def test_the_file_holds_every_label_language_and_kind_of_trap() -> None:
    counts = Counter((m["lang"], m["label"]) for m in MESSAGES)
    assert min(counts.values()) >= 15
    traps = {
        "denied",
        "resolved",
        "someone_else",
        "asked",
        "misspelt",
        "numeric",
        "indirect",
        "told_not_to",
        "returned",
    }
    assert traps <= {m["trap"] for m in MESSAGES}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_emergencies_are_escalated(labels: dict[str, str], language: str) -> None:
    assert _escalated(labels, lambda m: m["label"] == "emergency" and m["lang"] == language) >= 0.97


@pytest.mark.parametrize("language", ["en", "zh"])
def test_urgent_messages_are_escalated(labels: dict[str, str], language: str) -> None:
    assert _escalated(labels, lambda m: m["label"] == "urgent" and m["lang"] == language) >= 0.95


@pytest.mark.parametrize("language", ["en", "zh"])
def test_routine_messages_are_seldom_flagged(labels: dict[str, str], language: str) -> None:
    assert _escalated(labels, lambda m: m["label"] == "routine" and m["lang"] == language) <= 0.15


@pytest.mark.parametrize(
    "trap", ["indirect", "numeric", "misspelt", "told_not_to", "returned", "half_denied", "half_other"]
)
def test_a_trap_hides_no_emergency(labels: dict[str, str], trap: str) -> None:
    assert _escalated(labels, lambda m: m["label"] != "routine" and m["trap"] == trap) >= 0.95


@pytest.mark.parametrize("trap", ["denied", "resolved", "long_ago", "someone_else", "asked", "lookalike"])
def test_a_trap_raises_no_alarm(labels: dict[str, str], trap: str) -> None:
    assert _escalated(labels, lambda m: m["label"] == "routine" and m["trap"] == trap) <= 0.15


def test_an_emergency_is_called_one() -> None:
    found = [_label(m) == "emergency" for m in MESSAGES if m["label"] == "emergency"]
    assert sum(found) / len(found) >= 0.95


def test_the_same_message_always_gets_the_same_flags() -> None:
    for message in MESSAGES[:40]:
        assert red_flags(message["text"], "en") == red_flags(message["text"], "zh")
