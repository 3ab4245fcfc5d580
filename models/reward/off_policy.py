"""Estimate what a challenger's answers would have been rated, from logged answers of another refiner.

With answer a_i to context x_i, points r_i, propensity π_log, π_new the challenger's probability of the same program, a
model q̂ of points by program, and w_i = π_new / π_log:

    ips   = mean of w_i r_i
    snips = Σ w_i r_i / Σ w_i                     (self-normalised; NaN without overlap)
    dr    = mean of q̂(x_i, π_new) + w_i (r_i − q̂(x_i, a_i))      (doubly robust)
    ess   = (Σ w_i)² / Σ w_i²                     (effective number of answers)

Served answers take the likeliest program, so π_log = 1 and w_i is 1 where the challenger chooses the same program, else
0 (``match_weight``): the estimate then rests on q̂ wherever they differ, and ``ess`` says on how many answers it does
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.schema import EditProgram

RIDGE = 1.0
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """One logged answer: its points, the challenger's program, the weight of the match."""

    subject: int
    points: float
    logged: EditProgram
    challenger: EditProgram
    weight: float


@dataclass(frozen=True, slots=True)
class OffPolicyEstimate:
    """Estimates in points over ``n`` answers; ``terms`` are dr's, one per answer."""

    ips: float
    snips: float
    dr: float
    ess: float
    n: int
    terms: tuple[float, ...]


def match_weight(logged: EditProgram, challenger: EditProgram) -> float:
    """The weight of likeliest programs: 1 for equal picks and style, else 0."""
    return float(set(logged.picks) == set(challenger.picks) and logged.style == challenger.style)


def estimate_value(answers: Sequence[JudgedAnswer]) -> OffPolicyEstimate:
    """Estimate the challenger's mean points; NaN throughout without answers."""
    if not answers:
        nan = float("nan")
        return OffPolicyEstimate(nan, nan, nan, 0.0, 0, ())
    weights = np.array([a.weight for a in answers])
    points = np.array([a.points for a in answers])
    logged, new = _predict_points(answers, points)
    terms = new + weights * (points - logged)
    total, squares = float(weights.sum()), float((weights**2).sum())
    return OffPolicyEstimate(
        ips=float((weights * points).mean()),
        snips=float((weights * points).sum() / total) if total else float("nan"),
        dr=float(terms.mean()),
        ess=total**2 / squares if squares else 0.0,
        n=len(answers),
        terms=tuple(float(t) for t in terms),
    )


def _predict_points(answers: Sequence[JudgedAnswer], points: Array) -> tuple[Array, Array]:
    """Predict points of logged and challenger's programs by ridge, fitted without the patient's own answers."""
    subjects = np.array([a.subject for a in answers])
    styles = sorted({program.style for a in answers for program in (a.logged, a.challenger)})
    logged = np.array([_describe(a.logged, styles) for a in answers])
    new = np.array([_describe(a.challenger, styles) for a in answers])
    of_logged, of_new = np.empty(len(answers)), np.empty(len(answers))
    for subject in np.unique(subjects):
        own = subjects == subject
        rest = ~own if (~own).any() else own
        mean, centre = points[rest].mean(), logged[rest].mean(0)
        x = logged[rest] - centre
        weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ (points[rest] - mean))
        of_logged[own] = mean + (logged[own] - centre) @ weights
        of_new[own] = mean + (new[own] - centre) @ weights
    return of_logged, of_new


def _describe(program: EditProgram, styles: Sequence[str]) -> list[float]:
    """What q̂ reads of a program: the number of picks and the style."""
    return [float(len(program.picks)), *(float(program.style == style) for style in styles)]
