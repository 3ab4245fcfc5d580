"""One question's greedy edit program in numpy: the equations of ``models.refiner.policy``, without its batches.

Serving asks one question at a time, where most of a tensor library's time is the cost of calling it a few hundred
times. Every sum is over one question's own rows, so an answer cannot depend on what else is asked. A test holds this
against the policy's own forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.refiner.actions import FIRST_PICK, FIRST_STYLE, STOP
from models.refiner.featurizer import NUMERIC_FEATURES, PREFERENCE, numeric_features
from models.refiner.policy import Policy
from models.schema import Segment

Array = NDArray[np.float32]
BEST_OF_NONE = np.float32(-10.0)  # the score of the best pick where none is open, as the policy clamps it


class GreedyDecoder:
    """Chooses with a policy's weights, which it shares with the policy."""

    def __init__(self, policy: Policy) -> None:
        self._config = policy.config
        pointer = policy.pointer
        self._scale = np.float32(pointer.scale)
        self._weight = {
            name: value.detach().numpy().T if value.dim() == 2 else value.detach().numpy()
            for name, value in pointer.named_parameters()
        }

    def choose(self, vectors: Array, segments: Sequence[Segment]) -> tuple[list[int], float]:
        """Action ids, STOP included where it was taken, and their log-probability.

        ``vectors`` are the embeddings of the question and of each segment [1 + segments, width]; segments beyond the
        policy's slots must have been cut off.
        """
        asked, seen = vectors[0], vectors[1:]
        question = self._linear("read_question", asked * self._scale)
        about = np.array([numeric_features(s) for s in segments], np.float32).reshape(len(segments), NUMERIC_FEATURES)
        hidden = self._hidden(seen, asked, question, about)
        liked = about[:, PREFERENCE, None]
        preferred = (hidden * liked).sum(0) / max(np.float32(1.0), liked.sum())
        logits = self._linear("style", np.concatenate([question, preferred]))
        style = int(logits.argmax())
        ids, total = [FIRST_STYLE + style], float(_log_softmax(logits)[style])
        picks, log_prob = self._picks(question, hidden, seen @ seen.T, segments)
        return ids + picks, total + log_prob

    def _picks(
        self, question: Array, hidden: Array, likeness: Array, segments: Sequence[Segment]
    ) -> tuple[list[int], float]:
        """The picks and STOP: a slot whose tokens still fit is taken until stopping is likelier than going on."""
        config = self._config
        offered = self._linear("of_segment", hidden) + self._linear("of_question", question)
        tokens = np.array([s.tokens for s in segments], np.int64)
        closed = np.array([s.pinned for s in segments], bool)
        overlap, chosen = np.zeros(len(segments), np.float32), np.zeros(config.hidden_size, np.float32)
        ids: list[int] = []
        left, total = config.token_cap, 0.0
        for count in range(config.pick_cap + 1):
            picked = (chosen / max(count, 1)).astype(np.float32)
            heard = offered + self._linear("of_picked", picked) + overlap[:, None] * self._weight["of_overlap.weight"]
            scores = self._linear("pick", _gelu(heard))[:, 0]
            open_slots = ~closed & (tokens <= left) if count < config.pick_cap else np.zeros(len(segments), bool)
            scores = np.where(open_slots, scores, -np.inf)
            best = max(scores.max(initial=-np.inf), BEST_OF_NONE)
            budget = np.array([count / config.pick_cap, left / config.token_cap, best], np.float32)
            weighed = _gelu(self._linear("weigh_stop", np.concatenate([picked, question, budget])))
            log_p = _log_softmax(np.concatenate([self._linear("stop", weighed), scores]))
            if np.exp(log_p[0]) > 0.5:
                return [*ids, STOP], total + float(log_p[0])
            slot = int(log_p[1:].argmax())
            ids.append(FIRST_PICK + slot)
            total += float(log_p[1 + slot])
            closed[slot] = True
            left -= int(tokens[slot])
            chosen = chosen + hidden[slot]
            overlap = np.maximum(overlap, likeness[slot])
        return ids, total

    def _hidden(self, seen: Array, asked: Array, question: Array, about: Array) -> Array:
        """h_i of every segment."""
        read = self._linear("read_segment", seen * self._scale)
        return _gelu(self._linear("join", np.concatenate([read, read * question, (seen @ asked)[:, None], about], 1)))

    def _linear(self, name: str, x: Array) -> Array:
        made: Array = x @ self._weight[f"{name}.weight"] + self._weight[f"{name}.bias"]
        return made


def _gelu(x: Array) -> Array:
    made: Array = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    return made


def _log_softmax(logits: Array) -> Array:
    above = logits - logits.max()
    made: Array = above - np.log(np.exp(above).sum())
    return made
