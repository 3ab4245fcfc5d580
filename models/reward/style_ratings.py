"""What a style is worth to a patient, by ratings of served answers.

    r̂(style, p) = mean points + β · [style, (brief − detailed) · p, picks]     p: mean vector of preference sentences

Ridge over all rated answers; the number of picks is a nuisance, so that a style is not credited with what long prompts
are rated. Ratings say too little of single picks to learn these: in a probe it cost .11 to .17 stars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder import Encoder
from models.schema import Episode

FEWEST_ANSWERS, FEWEST_PATIENTS = 50, 10
RIDGE = 5.0
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RatedStyle:
    """One rated answer: patient, style, number of picks, preference vector, points."""

    subject: int
    style: str
    picks: int
    preference: Array
    points: float


@dataclass(frozen=True, slots=True)
class StyleReward:
    """The fitted points of the rated ``styles`` for a preference vector."""

    styles: tuple[str, ...]
    mean: float
    weights: Array

    def predict(self, style: str, preference: Array) -> float:
        return self.mean + float(_describe(self.styles, style, preference, 0.0) @ self.weights)


def encode_preference(episode: Episode, encoder: Encoder) -> Array:
    """The mean vector of the sentences on preferences; zeros without any."""
    stated = [s.text for s in episode.free if s.kind == "preference"]
    vectors = encoder.encode(stated or [""])
    return np.asarray(vectors.mean(0) if stated else np.zeros(vectors.shape[1]), dtype=np.float64)


def fit_style_reward(rated: Sequence[RatedStyle]) -> StyleReward | None:
    """Fit the reward; None with too few answers, patients or styles."""
    patients = len({one.subject for one in rated})
    styles = tuple(sorted({one.style for one in rated}))
    if len(rated) < FEWEST_ANSWERS or patients < FEWEST_PATIENTS or len(styles) < 2:
        return None
    picks = float(np.mean([one.picks for one in rated]))
    x = np.array([_describe(styles, one.style, one.preference, one.picks - picks) for one in rated])
    points = np.array([one.points for one in rated])
    mean = float(points.mean())
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (points - mean))
    return StyleReward(styles, mean, weights)


def _describe(styles: Sequence[str], style: str, preference: Array, picks: float) -> Array:
    direction = float(style == "brief") - float(style == "detailed")
    return np.concatenate([[float(style == s) for s in styles], direction * preference, [picks]])
