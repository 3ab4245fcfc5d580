"""Decode the policy greedily, alone or in batches, and report its probabilities.

    a_t = argmax of P(a | q, S, a_<t), STOP where it ties

By the policy's equations (``policy``) these are the k segments of greatest p, within the caps, for which the expected
F1 with the reply, 2 Σ_{i ≤ k} p_i / (k + Σ_i p_i), is greatest. Training, evaluation and serving decode by this rule;
only a policy of before it (``PolicyConfig.version`` 1) still stops where P(STOP) > ½.
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
from models.relevance.concerns import match_concerns
from models.schema import EditProgram, Segment


class PolicyRefiner:
    """A trained policy as a ``Refiner``; safe to use from several threads."""

    def __init__(self, policy: Policy, encoder: Encoder, id: str) -> None:
        self.policy = policy.eval()
        self.encoder = encoder
        self.caps = policy.config.caps
        self.id = id
        self._decoder = GreedyDecoder(self.policy)

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        """Return the greedy program and its log-probability; ignore segments beyond the slots."""
        seen = segments[: self.policy.config.slots]
        vectors = self.encoder.encode([question, *(s.text for s in seen)])
        ids, log_prob = self._decoder.decode(vectors, seen, match_concerns(question, self.encoder))
        return self.policy.config.actions.program(ids, [s.key for s in seen], log_prob)


@torch.no_grad()
def decode_batch(policy: Policy, prompts: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[float]]:
    """Decode prompts, given as rows of the current table, to action ids and log-probabilities."""
    size = policy.config.vocab_size
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + [size + row for row in p] for p in prompts])
    pointer = policy.pointer
    state = pointer.encode_state(*pointer.find_slots(ids))
    total = torch.zeros(len(prompts))
    stopped = torch.zeros(len(prompts), dtype=torch.bool)
    for _ in range(policy.config.pick_cap + 2):
        log_p = pointer.score_actions(ids[:, longest - 1 :], state)[:, -1].log_softmax(-1)
        action = log_p.argmax(-1).masked_fill(stopped, STOP)
        total += log_p.gather(1, action[:, None])[:, 0].masked_fill(stopped, 0.0)
        ids = torch.cat([ids, action[:, None]], 1)
        stopped = action == STOP
        if bool(stopped.all()):
            break
    programs = ids[:, longest:].tolist()
    return [p[: p.index(STOP) + 1] if STOP in p else p for p in programs], total.tolist()


@dataclass(frozen=True, slots=True)
class ChoiceProbabilities:
    """Action probabilities P(a_t | q, S, a_<t) at each step of a program.

    ``styles`` by style, before the first pick. ``steps`` has one mapping per pick and one for the end, of every
    candidate still open. ``stop`` is the probability of STOP at each of those steps.
    """

    styles: dict[str, float]
    steps: tuple[dict[str, float], ...]
    stop: tuple[float, ...]

    def of_segment(self, key: str, picks: tuple[str, ...]) -> float | None:
        """Return a pick's probability when picked, another candidate's highest probability."""
        if key in picks:
            return self.steps[picks.index(key)].get(key)
        return max((step[key] for step in self.steps if key in step), default=None)


@torch.no_grad()
def compute_choice_probabilities(
    refiner: Refiner, question: str, segments: tuple[Segment, ...], program: EditProgram
) -> ChoiceProbabilities | None:
    """Compute the probabilities behind a refiner's own ``program``; None unless it is a policy.

    Not thread-safe: replaces the policy's table.
    """
    if not isinstance(refiner, PolicyRefiner):
        return None
    policy = refiner.policy
    actions = policy.config.actions
    seen = segments[: policy.config.slots]
    keys = [s.key for s in seen]
    featurizer = Featurizer(refiner.encoder)
    rows = [actions.size + row for row in featurizer.add_prompt(question, seen)]
    policy.pointer.set_table(featurizer.build_table())
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
