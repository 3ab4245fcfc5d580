"""Estimate from ratings whether a patient prefers brief or detailed replies.

    x̄_j | θ_j ~ N(θ_j, σ²/n_j),   θ_j ~ N(μ_j, τ²)      j ∈ {brief, detailed}
    E[θ_j | x̄_j] = (n_j x̄_j/σ² + μ_j/τ²) / (n_j/σ² + 1/τ²),   Var = 1 / (n_j/σ² + 1/τ²)

μ_j is the mean among the patient's peers where at least k of them rated (cold start), else one global mean for both.
A preference is shown only when P(θ_brief > θ_detailed) leaves [1 − CONFIDENCE, CONFIDENCE].

1. The paper names preferences without a model; the normal–normal shrinkage is ours.
2. Its variances are fixed constants until enough clinics have ratings to estimate them.

Run: ``pmlm evaluate`` (row 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from models.feature_row import read_number
from models.schema import FeatureRow

NOISE_SD = 1.0  # of one rating around the patient's own mean, in points of the 1–5 scale
PATIENT_SD = 0.6  # of patients' means around their peers' mean
GLOBAL_MEAN = 3.5
CONFIDENCE = 0.8


@dataclass(frozen=True, slots=True)
class StyleEstimate:
    """Posterior mean and variance of one style's rating, with the number of own ratings."""

    mean: float
    variance: float
    ratings: int


@dataclass(frozen=True, slots=True)
class Preference:
    """Both estimates, and the probability that brief replies are rated higher."""

    brief: StyleEstimate
    detailed: StyleEstimate
    brief_probability: float
    length: Literal["brief", "detailed"] | None
    from_peers: bool


def shrink_mean(mean: float | None, count: int, prior: float) -> StyleEstimate:
    """Normal–normal posterior of a rating from ``count`` own ones and the prior mean."""
    precision = count / NOISE_SD**2 + 1 / PATIENT_SD**2
    own = 0.0 if mean is None or count == 0 else count * mean / NOISE_SD**2
    return StyleEstimate((own + prior / PATIENT_SD**2) / precision, 1 / precision, count)


def estimate_preference(row: FeatureRow) -> Preference:
    """The preferred length of reply; ``length`` is None while the evidence is thin."""
    estimates = {}
    for style in ("brief", "detailed"):
        mean = read_number(row, f"rating_{style}_mean")
        count = int(read_number(row, f"rating_{style}_count") or 0) if mean is not None else 0
        prior = read_number(row, f"peer_rating_{style}")
        estimates[style] = shrink_mean(mean, count, GLOBAL_MEAN if prior is None else prior)
    brief, detailed = estimates["brief"], estimates["detailed"]
    spread = (brief.variance + detailed.variance) ** 0.5
    probability = NormalDist().cdf((brief.mean - detailed.mean) / spread)
    length: Literal["brief", "detailed"] | None = None
    if probability >= CONFIDENCE:
        length = "brief"
    elif probability <= 1 - CONFIDENCE:
        length = "detailed"
    return Preference(brief, detailed, probability, length, brief.ratings + detailed.ratings == 0)
