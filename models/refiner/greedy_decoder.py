"""Decode one question's edit program in numpy, with the equations of ``models.refiner.policy``.

Serving decodes one question at a time, where torch spends most of its time on a few hundred calls. Every sum is over
one question's own rows, so a program cannot depend on other requests. A test compares this with ``Policy.forward``,
from which it departs in one way: what guidance requires (``models.relevance.cautions``) is picked first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.refiner.actions import FIRST_PICK, FIRST_STYLE, STOP
from models.refiner.featurizer import NUMERIC_FEATURES, PREFERENCE, find_signal, numeric_features
from models.refiner.policy import Policy
from models.refiner.policy_config import LEAST
from models.relevance.cautions import find_cautions
from models.relevance.concerns import compute_relevance, mark_findings
from models.schema import Segment

Array = NDArray[np.float32]
BEST_OF_NONE = np.float32(-10.0)  # the best pick's score where none is open, as the policy clamps it


class GreedyDecoder:
    """Decodes with a policy's own weights, without copying them."""

    def __init__(self, policy: Policy) -> None:
        self._config = policy.config
        pointer = policy.pointer
        self._scale = np.float32(pointer.scale)
        self._weight = {
            name: value.detach().numpy().T if value.dim() == 2 else value.detach().numpy()
            for name, value in pointer.named_parameters()
        }

    def decode(self, vectors: Array, segments: Sequence[Segment], matches: Array) -> tuple[list[int], float]:
        """Return action ids, with STOP where it was taken, and their log-probability.

        ``vectors`` [1 + segments, width] embed the question and each segment; there are at most ``slots`` segments.
        ``matches`` [concerns] are the question's (``models.relevance.concerns``).
        """
        asked, seen = vectors[0], vectors[1:]
        question = self._linear("read_question", asked * self._scale)
        about = np.array([numeric_features(s) for s in segments], np.float32).reshape(len(segments), NUMERIC_FEATURES)
        hidden = self._hidden(seen, asked, question, about)
        is_preference = about[:, PREFERENCE, None]
        preference = (hidden * is_preference).sum(0) / max(np.float32(1.0), is_preference.sum())
        logits = self._linear("style", np.concatenate([question, preference]))
        style = int(logits.argmax())
        ids, total = [FIRST_STYLE + style], float(_log_softmax(logits)[style])
        relevance = self._weigh_relevance(matches, segments)
        required = [caution.place for caution in find_cautions(matches, segments)]
        picks, log_prob = self._picks(question, hidden, seen @ seen.T, relevance, segments, required)
        return ids + picks, total + log_prob

    def _picks(
        self,
        question: Array,
        hidden: Array,
        similarity: Array,
        relevance: Array,
        segments: Sequence[Segment],
        required: Sequence[int],
    ) -> tuple[list[int], float]:
        """Take what is required, then the likeliest of STOP and the open slots until STOP: the calibrated stop."""
        config = self._config
        segment_term = self._linear("of_segment", hidden) + self._linear("of_question", question)
        tokens = np.array([s.tokens for s in segments], np.int64)
        closed = np.array([s.pinned for s in segments], bool)
        signals = [find_signal(s.key) if config.is_calibrated else "" for s in segments]
        overlap, chosen = np.zeros(len(segments), np.float32), np.zeros(config.hidden_size, np.float32)
        chances = np.where(closed, np.float32(0), _sigmoid(self._score(segment_term, chosen, overlap) + relevance))
        ids: list[int] = []
        left, total, taken = config.token_cap, 0.0, np.float32(0)
        for count in range(config.pick_cap + 1):
            picked = (chosen / max(count, 1)).astype(np.float32)
            scores = self._score(segment_term, picked, overlap) + relevance
            open_slots = ~closed & (tokens <= left) if count < config.pick_cap else np.zeros(len(segments), bool)
            scores = np.where(open_slots, scores, -np.inf)
            best = max(scores.max(initial=-np.inf), BEST_OF_NONE)
            budget = np.array([count / config.pick_cap, left / config.token_cap, best], np.float32)
            stop = self._linear("stop", _gelu(self._linear("weigh_stop", np.concatenate([picked, question, budget]))))
            if config.is_calibrated:
                threshold = np.clip(taken / max(np.float32(count) + chances.sum(), np.float32(LEAST)), LEAST, 1 - LEAST)
                stop = (stop + config.sharpness * np.log(threshold / (1 - threshold))).astype(np.float32)
            log_p = _log_softmax(np.concatenate([stop, np.float32(config.sharpness) * scores]))
            action = int(log_p.argmax())  # a tie is a STOP, as for the policy
            if not config.is_calibrated and np.exp(log_p[0]) <= 0.5:  # the rule it was trained for
                action = 1 + int(log_p[1:].argmax())
            action = next((1 + place for place in required if open_slots[place]), action)
            total += float(log_p[action])
            if action == 0:
                return [*ids, STOP], total
            slot = action - 1
            ids.append(FIRST_PICK + slot)
            closed |= np.array([s == signals[slot] and s != "" for s in signals], bool)
            closed[slot] = True
            left -= int(tokens[slot])
            taken += chances[slot]
            chosen = chosen + hidden[slot]
            overlap = np.maximum(overlap, similarity[slot])
        return ids, total

    def _score(self, segment_term: Array, picked: Array, overlap: Array) -> Array:
        """Compute ℓ of every segment."""
        inner = segment_term + self._linear("of_picked", picked) + overlap[:, None] * self._weight["of_overlap.weight"]
        return self._linear("pick", _gelu(inner))[:, 0]

    def _weigh_relevance(self, matches: Array, segments: Sequence[Segment]) -> Array:
        """Compute ρ · relevance of every segment."""
        if not self._config.reads_relevance:
            return np.zeros(len(segments), np.float32)
        found: Array = compute_relevance(matches, mark_findings([s.key for s in segments]))
        weighed: Array = (found @ self._weight["of_relevance.weight"])[:, 0]
        return weighed

    def _hidden(self, seen: Array, asked: Array, question: Array, about: Array) -> Array:
        """Compute h_i of every segment."""
        projected = self._linear("read_segment", seen * self._scale)
        return _gelu(
            self._linear("join", np.concatenate([projected, projected * question, (seen @ asked)[:, None], about], 1))
        )

    def _linear(self, name: str, x: Array) -> Array:
        result: Array = x @ self._weight[f"{name}.weight"] + self._weight[f"{name}.bias"]
        return result


def _gelu(x: Array) -> Array:
    result: Array = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    return result


def _sigmoid(x: Array) -> Array:
    result: Array = (1 / (1 + np.exp(-np.clip(x, -80, 80)))).astype(np.float32)
    return result


def _log_softmax(logits: Array) -> Array:
    above = logits - logits.max()
    result: Array = above - np.log(np.exp(above).sum())
    return result
