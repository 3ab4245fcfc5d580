"""The simulator's truth of a reply: facts that stay unspoken, what was planted.

Read from the clinic's ``facts.jsonl.gz``, to measure with: a real clinic has none, and nothing that learns reads it.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from pipelines.episodes.conversations import pair_exchanges
from pipelines.episodes.stage import format_episode_id
from pipelines.records.log import event_log
from pmlm.settings import Settings

PLANTED, CONTROL = "planted", "control"


@dataclass(frozen=True, slots=True)
class ReplyTruth:
    """One reply's truth: facts that no sentence reveals; whether similar patients matter (``PLANTED``)."""

    unspoken: frozenset[str] = field(default_factory=frozenset)
    peers: str = CONTROL


def read_truth(settings: Settings) -> dict[str, ReplyTruth]:
    """Read the truth by episode id; empty for a real clinic."""
    path = settings.drops / "facts.jsonl.gz"
    if not path.exists() or not settings.events.exists():
        return {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        by_reply = {settings.pseudonym("Communication", d["communication"]): d for d in map(json.loads, lines)}
    asked = pair_exchanges(event_log.scan_events(settings), settings.now())
    return {format_episode_id(e): parse_truth(by_reply[e.reply_record]) for e in asked if e.reply_record in by_reply}


def parse_truth(line: dict[str, Any]) -> ReplyTruth:
    """Parse one line of the file.

    Facts that no sentence rests on count as unspoken where the simulator does not say; a clinic without options has no
    mechanism.
    """
    spoken = {fact for sentence in line.get("sentences", []) for fact in sentence["facts"]}
    unspoken = frozenset(line["unspoken"] if "unspoken" in line else set(line["facts"]) - spoken)
    return ReplyTruth(unspoken, PLANTED if line.get("mechanism") else CONTROL)
