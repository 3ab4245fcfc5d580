"""Training examples of the red-flag classifier: phrases in frames, and judged rounds.

    messages_<language>.yaml   phrases per sign, and frames that deny, end, shift or ask about it
    examples/triage.jsonl      rounds of labelled messages, each written before the system had seen it

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
#: Frames drawn per kind for each noun of a sign: in these the sign is not present now.
FRAMES_PER_NOUN = {"denied": 6, "resolved": 4, "long_ago": 2, "someone_else": 4, "asked": 8}
FRAMES_PER_SENTENCE, PRESENT_FRAMES_PER_NOUN = 3, 5
ROUND_WEIGHT, WRITTEN_WEIGHT = 3.0, 3.0


class TriageExample(NamedTuple):
    """One message to learn from; ``sign`` is empty where none is named."""

    text: str
    flagged: bool
    sign: str
    weight: float


@dataclass(frozen=True, slots=True)
class SignPhrases:
    """The phrases of one sign: sentences that report it and nouns that name it."""

    sign: str
    sentences: list[str]
    nouns: list[str]


def hash_corpus(rounds: Iterable[Mapping[str, Any]]) -> str:
    """Hash all training examples, so that weights fitted on others are recognised.

    The files' bytes count, comments included: an edited comment asks for a new fit.
    """
    state = hashlib.sha256()
    for language in LANGUAGES:
        state.update((HERE / f"messages_{language}.yaml").read_bytes())
    for message in rounds:
        state.update(json.dumps(message, ensure_ascii=False, sort_keys=True).encode())
    return state.hexdigest()[:16]


def read_judged(path: Path = ROUNDS) -> list[dict[str, Any]]:
    """Read the judged messages of all rounds; :class:`TriageError` where the file is missing."""
    if not path.exists():
        raise TriageError(f"{path} is missing: it holds the judged messages")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def build_examples(language: str, rounds: Iterable[Mapping[str, Any]]) -> list[TriageExample]:
    """Build one language's examples from its corpus and the given judged messages."""
    source = yaml.safe_load((HERE / f"messages_{language}.yaml").read_text("utf-8"))
    examples = [*_fill_frames(source)]
    for part, flagged in (("routine", False), ("traps", False), ("urgent_traps", True)):
        examples += [TriageExample(text, flagged, "", WRITTEN_WEIGHT) for text in _lines(source[part])]
    examples += [TriageExample(text, False, "", 1.0) for text in _lines(source["plain"])]
    judged = [m for m in rounds if m["lang"] == language]
    return examples + [TriageExample(m["text"], m["label"] != "routine", "", ROUND_WEIGHT) for m in judged]


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.splitlines() if line.strip()]


def _fill_frames(source: dict[str, Any]) -> Iterable[TriageExample]:
    draw = random.Random(7)
    frames = {kind: _lines(block) for kind, block in source["frames"].items()}
    plain = _lines(source["plain"])
    every = [
        SignPhrases(row.get("sign", name), _lines(row["said"]), _lines(row["thing"]))
        for name, row in source["signs"].items()
    ]
    for one in every:
        others = [other.nouns[0] for other in every if other is not one]

        def fill(frame: str, noun: str = "", sentence: str = "", others: list[str] = others) -> str:
            return frame.format(thing=noun, said=sentence, other=draw.choice(others), plain=draw.choice(plain))

        yield from _fill_present_frames(one, frames["present"], fill, draw)
        for noun in one.nouns:
            for kind, count in FRAMES_PER_NOUN.items():
                for frame in draw.sample(frames[kind], min(count, len(frames[kind]))):
                    yield TriageExample(fill(frame, noun), False, "", 1.0)


def _fill_present_frames(
    one: SignPhrases, present: list[str], fill: Callable[..., str], draw: random.Random
) -> Iterable[TriageExample]:
    of_sentence = [f for f in present if "{said}" in f and "{thing}" not in f]
    of_noun = [f for f in present if "{thing}" in f and "{said}" not in f]
    for sentence in one.sentences:
        yield TriageExample(sentence, True, one.sign, 1.0)
        for frame in draw.sample(of_sentence, FRAMES_PER_SENTENCE):
            yield TriageExample(fill(frame, sentence=sentence), True, one.sign, 1.0)
    for noun in one.nouns:
        for frame in draw.sample(of_noun, PRESENT_FRAMES_PER_NOUN):
            yield TriageExample(fill(frame, noun), True, one.sign, 1.0)
