"""Label segments by what replies took up, and map those probabilities to reward gains.

    g_kj = exp(clip(Δ_kj − median_k Δ_kj, ±3) / τ),   Δ_kj = log p(y_j | S₀ ∪ {s_k}) − log p(y_j | S₀)
    p(k) = uptake of k by alignment, with g_kj where it was measured            (``alignment``)
    ĝ(k) = m(p(k)),   m = argmin over non-decreasing m of Σ (useful(k) − m(p(k)))²       over measured episodes

A measured gain (``models.reward.terms``) costs one forward pass of the language model and says little of which sentence
it helped. Shared out among the segments by a softmax per reply sentence, the same scores are evidence of what each
sentence rests on. m gives the labels the unit of the reward (nats); it is fitted to probabilities without g, so that no
noise is on both sides, and used only if those of other patients correlate with their measured gains.

Departures from plain pseudo-labelling (Lee 2013):
1. Labels come from another view, the reply, which the policy never sees: only training reads replies.
2. All training episodes get them, the measured ones too, so the measurement noise is averaged out.
The paper's abstract says only that prompts are aligned with what physicians recommended.

Run: ``pmlm train`` (before each warm start).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

MIN_MEASURED = 10  # episodes; with fewer no map is fitted
FOLDS = 5  # of patients
EVIDENCE_TEMPERATURE = 0.5  # nats of a sentence
EVIDENCE_LIMIT = 3.0
#: Where nothing was measured: a fact that the reply certainly took up gains this, an idle one loses its length price.
CERTAIN_GAIN, IDLE_GAIN = 0.3, -0.01


@dataclass(frozen=True)
class GainMap:
    """The non-decreasing map m from probabilities ``x`` to nats ``y``, linear between, flat beyond."""

    x: np.ndarray
    y: np.ndarray

    def __call__(self, probability: np.ndarray) -> np.ndarray:
        return np.interp(probability, self.x, self.y)


#: The map of a clinic without enough measured gains.
DEFAULT_MAP = GainMap(np.array([0.0, 1.0]), np.array([IDLE_GAIN, CERTAIN_GAIN]))


def compute_log_evidence(sentence_gains: np.ndarray) -> np.ndarray:
    """Compute log g [sentences, segments] from Δ [segments, sentences], each summed over a sentence's tokens."""
    if not sentence_gains.size:
        return np.zeros(sentence_gains.shape[::-1])
    centred = sentence_gains - np.median(sentence_gains, axis=0)
    return np.clip(centred, -EVIDENCE_LIMIT, EVIDENCE_LIMIT).T / EVIDENCE_TEMPERATURE


def fit_gain_map(
    probabilities: Sequence[np.ndarray], gains: Sequence[np.ndarray], patients: Sequence[int]
) -> tuple[GainMap, float] | None:
    """Fit m; return it with the correlation of out-of-fold ĝ (folds by patient) and gains.

    One array per episode. None with fewer than ``MIN_MEASURED`` episodes, or where that correlation is not positive.
    """
    if len(probabilities) < MIN_MEASURED or len(set(patients)) < 2:
        return None
    fold = np.unique(np.asarray(patients), return_inverse=True)[1] % FOLDS
    folds = np.repeat(fold, [len(part) for part in probabilities])
    p, gain = np.concatenate(probabilities), np.concatenate(gains)
    predicted = np.full(len(p), gain.mean())
    for one in np.unique(folds):
        mine = folds == one
        predicted[mine] = _fit(p[~mine], gain[~mine])(p[mine])
    if predicted.std() < 1e-9 or gain.std() < 1e-9:
        return None
    correlation = float(np.corrcoef(predicted, gain)[0, 1])
    return (_fit(p, gain), correlation) if correlation > 0 else None


def _fit(p: np.ndarray, gain: np.ndarray) -> GainMap:
    """Fit m by isotonic least squares."""
    model = IsotonicRegression(out_of_bounds="clip").fit(p, gain)
    return GainMap(model.X_thresholds_, model.y_thresholds_)
