"""The messages that the red-flag classifier learns from: written lines, the same lines in frames, and judged rounds.

    messages_<language>.yaml   phrases a sign, and frames that deny, end, shift or ask about it
    examples/triage.jsonl      rounds of messages with their labels, each written before the system had met it

The draw of frames is seeded: the same files give the same examples in the same order.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pmlm.errors import TriageError

HERE = Path(__file__).parent
ROUNDS = HERE.parents[1] / "examples" / "triage.jsonl"
LANGUAGES = ("en", "zh")
#: How many frames of a kind each named sign is put into.
DRAWN = {"denied": 6, "resolved": 4, "long_ago": 2, "someone_else": 4, "asked": 8}
DRAWN_TOLD, DRAWN_NAMED = 3, 5
ROUND_WEIGHT, WRITTEN_WEIGHT = 3.0, 3.0


class Example(NamedTuple):
    """One message to learn from; ``sign`` is empty where none is named."""

    text: str
    flagged: bool
    sign: str
    weight: float


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of one sign."""

    sign: str
    said: list[str]
    named: list[str]


def digest(rounds: Iterable[Mapping[str, Any]]) -> str:
    """A digest of everything that is learnt from, kept with the weights so that stale ones are seen."""
    state = hashlib.sha256()
    for language in LANGUAGES:
        state.update((HERE / f"messages_{language}.yaml").read_bytes())
    for message in rounds:
        state.update(json.dumps(message, ensure_ascii=False, sort_keys=True).encode())
    return state.hexdigest()[:16]


def judged(path: Path = ROUNDS) -> list[dict[str, Any]]:
    """The messages of all rounds. :class:`TriageError` where the file is missing."""
    if not path.exists():
        raise TriageError(f"{path} is missing: it holds the judged messages")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def examples(language: str, rounds: Iterable[Mapping[str, Any]]) -> list[Example]:
    """What is learnt from in one language: its corpus and the given judged messages."""
    written = yaml.safe_load((HERE / f"messages_{language}.yaml").read_text("utf-8"))
    found = [*_framed(written)]
    for part, flagged in (("routine", False), ("traps", False), ("urgent_traps", True)):
        found += [Example(text, flagged, "", WRITTEN_WEIGHT) for text in _lines(written[part])]
    found += [Example(text, False, "", 1.0) for text in _lines(written["plain"])]
    found += [Example(m["text"], m["label"] != "routine", "", ROUND_WEIGHT) for m in rounds if m["lang"] == language]
    return found


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.splitlines() if line.strip()]


def _framed(written: dict[str, Any]) -> Iterable[Example]:
    draw = random.Random(7)
    frames = {kind: _lines(block) for kind, block in written["frames"].items()}
    plain = _lines(written["plain"])
    every = [
        Phrases(row.get("sign", name), _lines(row["said"]), _lines(row["thing"]))
        for name, row in written["signs"].items()
    ]
    for one in every:
        others = [other.named[0] for other in every if other is not one]

        def fill(frame: str, named: str = "", said: str = "", others: list[str] = others) -> str:
            return frame.format(thing=named, said=said, other=draw.choice(others), plain=draw.choice(plain))

        yield from _told(one, frames["present"], fill, draw)
        for named in one.named:
            for kind, count in DRAWN.items():
                for frame in draw.sample(frames[kind], min(count, len(frames[kind]))):
                    yield Example(fill(frame, named), False, "", 1.0)


def _told(one: Phrases, present: list[str], fill: Callable[..., str], draw: random.Random) -> Iterable[Example]:
    telling = [f for f in present if "{said}" in f and "{thing}" not in f]
    naming = [f for f in present if "{thing}" in f and "{said}" not in f]
    for said in one.said:
        yield Example(said, True, one.sign, 1.0)
        for frame in draw.sample(telling, DRAWN_TOLD):
            yield Example(fill(frame, said=said), True, one.sign, 1.0)
    for named in one.named:
        for frame in draw.sample(naming, DRAWN_NAMED):
            yield Example(fill(frame, named), True, one.sign, 1.0)
