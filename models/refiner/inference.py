"""The policy as a refiner: read, choose greedily, stop when it would rather stop than go on.

Departure from plain greedy decoding: STOP is taken only when P(STOP) > ½. Soft targets split the probability of
going on among several good segments, so the likeliest single token would be STOP long before it is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.encoder import Encoder
from models.refiner.actions import FIRST_PICK, FIRST_STYLE, STOP
from models.refiner.featurizer import Featurizer
from models.refiner.greedy_decoder import GreedyDecoder
from models.refiner.interface import STYLES, Refiner
from models.refiner.policy import MASKED, Policy
from models.schema import EditProgram, Segment


class PolicyRefiner:
    """A trained policy behind the ``Refiner`` Protocol. Safe to use from several threads."""

    def __init__(self, policy: Policy, encoder: Encoder, id: str) -> None:
        self.policy = policy.eval()
        self.encoder = encoder
        self.caps = policy.config.caps
        self.id = id
        self._greedy = GreedyDecoder(self.policy)

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        """The policy's edit program, with its log-probability; segments beyond its slots are not seen."""
        seen = segments[: self.policy.config.slots]
        ids, log_prob = self._greedy.choose(self.encoder.encode([question, *(s.text for s in seen)]), seen)
        return self.policy.config.actions.program(ids, [s.key for s in seen], log_prob)


@torch.no_grad()
def decode_batch(policy: Policy, prompts: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[float]]:
    """Greedy action ids (STOP included) and their log-probability, for prompts given as rows of the current table."""
    size = policy.config.vocab_size
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + [size + row for row in p] for p in prompts])
    pointer = policy.pointer
    heard = pointer.hear(*pointer.slots(ids))  # question and slots do not change while actions are chosen
    total = torch.zeros(len(prompts))
    stopped = torch.zeros(len(prompts), dtype=torch.bool)
    for _ in range(policy.config.pick_cap + 2):
        log_p = pointer.scores(ids[:, longest - 1 :], heard)[:, -1].log_softmax(-1)
        going_on = log_p.clone()
        going_on[:, STOP] = MASKED
        stop = (log_p[:, STOP].exp() > 0.5) | stopped
        action = torch.where(stop, STOP, going_on.argmax(-1))
        total += log_p.gather(1, action[:, None])[:, 0].masked_fill(stopped, 0.0)
        ids = torch.cat([ids, action[:, None]], 1)
        stopped = stop
        if bool(stopped.all()):
            break
    programs = ids[:, longest:].tolist()
    return [p[: p.index(STOP) + 1] if STOP in p else p for p in programs], total.tolist()


@dataclass(frozen=True, slots=True)
class ChoiceProbabilities:
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
def compute_choice_probabilities(
    refiner: Refiner, question: str, segments: tuple[Segment, ...], program: EditProgram
) -> ChoiceProbabilities | None:
    """The weights behind ``program``, which ``refiner`` made of these arguments; None for a refiner that has none.

    Not for use beside ``refine`` of the same refiner in another thread: both swap the policy's table.
    """
    if not isinstance(refiner, PolicyRefiner):
        return None
    policy = refiner.policy
    actions = policy.config.actions
    seen = segments[: policy.config.slots]
    keys = [s.key for s in seen]
    reader = Featurizer(refiner.encoder)
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
    return ChoiceProbabilities(styles, steps, tuple(float(share[STOP]) for share in shares[1:]))
