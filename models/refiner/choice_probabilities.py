"""How a policy weighed its choices: the probabilities that one edit program was decided on.

    P(a_t | q, S, a_<t)        for every open slot, every style and STOP, at each step t of the program

For explaining only: nothing is chosen here. A rule (``Ranking``) weighs nothing, and its program has no weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.refiner.actions import FIRST_PICK, FIRST_STYLE, STOP
from models.refiner.featurizer import Reader
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import STYLES, Refiner
from models.refiner.policy import MASKED
from models.schema import EditProgram, Segment


@dataclass(frozen=True, slots=True)
class Weights:
    """Probabilities behind a program.

    ``styles`` by style, before the first pick. ``steps`` has one mapping a pick and one for the end: of every
    candidate that was still open then. ``stop`` is the probability of ending at each of those steps.
    """

    styles: dict[str, float]
    steps: tuple[dict[str, float], ...]
    stop: tuple[float, ...]

    def of(self, key: str, picks: tuple[str, ...]) -> float | None:
        """Of a chosen candidate its probability when it was chosen, of another the highest it ever had."""
        if key in picks:
            return self.steps[picks.index(key)].get(key)
        return max((step[key] for step in self.steps if key in step), default=None)


@torch.no_grad()
def weigh(refiner: Refiner, question: str, segments: tuple[Segment, ...], program: EditProgram) -> Weights | None:
    """The weights behind ``program``, which ``refiner`` made of these arguments; None for a refiner that has none.

    Not for use beside ``refine`` of the same refiner in another thread: both swap the policy's table.
    """
    if not isinstance(refiner, PolicyRefiner):
        return None
    policy = refiner.policy
    actions = policy.config.actions
    seen = segments[: policy.config.slots]
    keys = [s.key for s in seen]
    reader = Reader(refiner.encoder)
    rows = [actions.size + row for row in reader.prompt(question, seen)]
    policy.pointer.read(reader.table())
    chosen = actions.ids(program, keys)[:-1]
    # the distribution before each action of the program, and the one it ended on
    logits = policy(input_ids=torch.tensor([rows + chosen]), logits_to_keep=len(chosen) + 1).logits[0]
    open_, shares = logits > MASKED / 2, logits.softmax(-1)
    styles = {style: float(shares[0, FIRST_STYLE + i]) for i, style in enumerate(STYLES)}
    steps = tuple(
        {key: float(share[FIRST_PICK + i]) for i, key in enumerate(keys) if is_open[FIRST_PICK + i]}
        for share, is_open in zip(shares[1:], open_[1:], strict=True)
    )
    return Weights(styles, steps, tuple(float(share[STOP]) for share in shares[1:]))
