"""The edit vocabulary: one style directive, then picks of slots, then STOP.

An edit program is the token sequence ``STYLE_s PICK_i PICK_j … <stop>``. PICK_i names the i-th *slot* of the
prompt, never a segment: what a slot holds differs between prompts, and training shuffles slots, so the policy can
only go by a segment's features. Ids below ``size`` are actions and are what the policy
has logits for; ids from ``size`` on are rows of the feature table (``featurizer``) and occur in prompts only.
Departure from a language model's vocabulary: no action writes text, so a refiner cannot state anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.refiner.interface import STYLES
from models.schema import EditProgram

PAD, STOP, UNKNOWN = 0, 1, 2
FIRST_STYLE = 3
FIRST_PICK = FIRST_STYLE + len(STYLES)


@dataclass(frozen=True, slots=True)
class Actions:
    """Action ids for a prompt of at most ``slots`` segments."""

    slots: int

    @property
    def size(self) -> int:
        """Number of action ids; also the first id of a row."""
        return FIRST_PICK + self.slots

    @property
    def words(self) -> list[str]:
        styles = [f"STYLE_{style}" for style in STYLES]
        return ["<pad>", "<stop>", "<unknown>", *styles, *(f"PICK_{i + 1}" for i in range(self.slots))]

    def program(self, ids: Sequence[int], keys: Sequence[str], log_prob: float = 0.0) -> EditProgram:
        """Convert action ids, up to STOP, to a program; slot i holds ``keys[i]``."""
        style, picks = STYLES[0], []
        for token in ids:
            if token == STOP:
                break
            if FIRST_STYLE <= token < FIRST_PICK:
                style = STYLES[token - FIRST_STYLE]
            elif FIRST_PICK <= token < self.size:
                picks.append(keys[token - FIRST_PICK])
        return EditProgram(picks=tuple(picks), style=style, log_prob=log_prob)

    def ids(self, program: EditProgram, keys: Sequence[str]) -> list[int]:
        """Convert a program to action ids, STOP included: the inverse of ``program``."""
        slot = {key: i for i, key in enumerate(keys)}
        return [FIRST_STYLE + STYLES.index(program.style), *(FIRST_PICK + slot[k] for k in program.picks), STOP]
