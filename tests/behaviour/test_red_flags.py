"""Triage over every judged message (examples/triage.jsonl), in English and Chinese, half of them traps.

The messages came in rounds (``round``), each written before the system had met it; what it did at first sight stands
in benchmarks/results/triage.json and docs/triage.md. Each round then taught the rules and the classifier, so these
figures say that nothing learnt is lost; the last round the classifier has not learnt from.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.encoder import MiniLM
from models.safety.triage.classifier import read_metadata
from models.safety.triage.rules import TriageContext, find_gravest_label, find_red_flags
from pipelines.triage import corpus

MESSAGES = corpus.read_judged()
FIRST_LOOKS = Path(__file__).parents[2] / "benchmarks" / "results" / "triage.json"


def _label(message: dict[str, Any], encoder: MiniLM) -> str:
    return find_gravest_label(
        find_red_flags(message["text"], message["lang"], TriageContext(**message.get("context", {})), encoder)
    )


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM()


@pytest.fixture(scope="module")
def labels(encoder: MiniLM) -> dict[str, str]:
    return {m["id"]: _label(m, encoder) for m in MESSAGES}


def _escalated(labels: dict[str, str], where: Callable[[dict[str, Any]], bool]) -> float:
    """The share of the messages that got anything but routine."""
    found = [labels[m["id"]] != "routine" for m in MESSAGES if where(m)]
    return sum(found) / len(found)


def test_the_file_holds_every_label_language_and_kind_of_trap() -> None:
    counts = Counter((m["lang"], m["label"]) for m in MESSAGES)
    assert min(counts.values()) >= 50
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
    assert len({m["id"] for m in MESSAGES}) == len(MESSAGES)


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
    "trap", ["indirect", "numeric", "misspelt", "told_not_to", "returned", "half_denied", "half_other", "proxy"]
)
def test_a_trap_hides_no_emergency(labels: dict[str, str], trap: str) -> None:
    assert _escalated(labels, lambda m: m["label"] != "routine" and m["trap"] == trap) >= 0.94


@pytest.mark.parametrize(
    ("trap", "most"),
    # what is over is hardest to tell from what goes on: a false alarm there is preferred to a missed sign
    [
        ("denied", 0.15),
        ("resolved", 0.17),
        ("long_ago", 0.15),
        ("someone_else", 0.15),
        ("asked", 0.15),
        ("lookalike", 0.15),
    ],
)
def test_a_trap_raises_no_alarm(labels: dict[str, str], trap: str, most: float) -> None:
    assert _escalated(labels, lambda m: m["label"] == "routine" and m["trap"] == trap) <= most


def test_a_round_that_the_classifier_has_never_seen_fares_not_much_worse(labels: dict[str, str]) -> None:
    unseen = [m["id"] for m in MESSAGES if str(m["round"]) not in read_metadata()["rounds"].split()]
    assert len(unseen) >= 150
    assert _escalated(labels, lambda m: m["id"] in unseen and m["label"] == "emergency") >= 0.95
    assert _escalated(labels, lambda m: m["id"] in unseen and m["label"] == "routine") <= 0.2


def test_an_emergency_is_called_one(labels: dict[str, str]) -> None:
    found = [labels[m["id"]] == "emergency" for m in MESSAGES if m["label"] == "emergency"]
    assert sum(found) / len(found) >= 0.85  # rounds 12 to 19 call every CDC sign one, the table some of them urgent


def test_the_classifier_never_takes_a_flag_of_the_rules_away(encoder: MiniLM) -> None:
    for message in MESSAGES[::5]:
        known = TriageContext(**message.get("context", {}))
        rules = {f.sign for f in find_red_flags(message["text"], message["lang"], known)}
        assert rules <= {f.sign for f in find_red_flags(message["text"], message["lang"], known, encoder)}


def test_the_same_message_always_gets_the_same_flags(encoder: MiniLM) -> None:
    for message in MESSAGES[::40]:
        first = find_red_flags(message["text"], "en", None, encoder)
        assert first == find_red_flags(message["text"], "zh", None, MiniLM())


def test_the_shipped_weights_were_fitted_on_these_very_messages() -> None:
    learnt = [m for m in MESSAGES if str(m["round"]) in read_metadata()["rounds"].split()]
    assert len(learnt) >= 1000
    assert read_metadata()["corpus"] == corpus.hash_corpus(learnt)
    assert read_metadata()["encoder"] == MiniLM.id


def test_every_later_round_has_its_first_look_on_record() -> None:
    looked = {row["round"] for row in json.loads(FIRST_LOOKS.read_text()) if row["met"] != "now"}
    assert {m["round"] for m in MESSAGES if m["round"] >= 5} <= looked
