"""The policy as a refiner: read, choose greedily, stop when it would rather stop than go on.

Departure from plain greedy decoding: STOP is taken only when P(STOP) > ½. Soft targets split the probability of
going on among several good segments, so the likeliest single token would be STOP long before it is meant.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.encoder import Encoder
from models.refiner.actions import STOP
from models.refiner.policy import MASKED, Policy
from models.refiner.reading import Reader
from models.schema import EditProgram, Segment


class PolicyRefiner:
    """A trained policy behind the ``Refiner`` Protocol. Not for use by several threads at once: it swaps its table."""

    def __init__(self, policy: Policy, encoder: Encoder, id: str) -> None:
        self.policy = policy.eval()
        self.encoder = encoder
        self.caps = policy.config.caps
        self.id = id

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        """The policy's edit program, with its log-probability; segments beyond its slots are not seen."""
        return self.refine_many([(question, segments)])[0]

    def refine_many(self, cases: Sequence[tuple[str, tuple[Segment, ...]]]) -> list[EditProgram]:
        """``refine`` for several questions in one pass; the answers do not depend on each other's company."""
        actions, slots = self.policy.config.actions, self.policy.config.slots
        reader = Reader(self.encoder)
        prompts = [reader.prompt(question, segments[:slots]) for question, segments in cases]
        self.policy.pointer.read(reader.table())
        chosen, log_probs = choose(self.policy, prompts)
        return [
            actions.program(ids, [s.key for s in segments], log_prob)
            for ids, log_prob, (_, segments) in zip(chosen, log_probs, cases, strict=True)
        ]


@torch.no_grad()
def choose(policy: Policy, prompts: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[float]]:
    """Greedy action ids (STOP included) and their log-probability for prompts given as rows of the current table."""
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
