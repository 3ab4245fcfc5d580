"""Credit a group's rewards to single picks by regression within the group.

One reward comes for a whole edit program, though its picks may be good and bad. With x_g the picks of program g, 0 or 1
per segment, r_g its reward, both centred over the group, and λ = ``RIDGE``:

    w      = (XᵀX + λI)⁻¹ Xᵀ r
    A_g,i  = (w_i − mean of w over the group's picks) / std over the batch      for each pick i of program g
    A_g    = (r_g − mean of r over the group) / std of r over the batch         for its style and its end

A segment in every program of a group, or in a group whose rewards are equal, has w = 0. Departs from GRPO as published,
where every action of a program has the program's A_g.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.refiner.actions import FIRST_PICK

RIDGE = 0.5
TINY = 1e-4  # nats; below it a standard deviation is no scale
Array = NDArray[np.float64]


def build_advantages(
    programs: Sequence[Sequence[int]], rewards: Sequence[float], generations: int, width: int
) -> Array:
    """Build the advantage of every action, [programs, width], from ids and rewards.

    ``generations`` programs of one prompt follow each other. A reward that is NaN teaches nothing. Actions beyond
    a program's own have 0.
    """
    values = np.asarray(rewards, dtype=np.float64).reshape(-1, generations)
    scored = np.isfinite(values)
    count = np.maximum(scored.sum(1, keepdims=True), 1)
    centred = np.where(scored, values - np.where(scored, values, 0.0).sum(1, keepdims=True) / count, 0.0)
    whole = centred / (_spread(centred[scored]) + TINY)
    credits = [
        credit_picks(programs[g * generations : (g + 1) * generations], centred[g], scored[g])
        for g in range(len(values))
    ]
    scale = _spread(np.array([c for group in credits for one in group for c in one.values()])) + TINY
    out = np.zeros((len(programs), width))
    for n, ids in enumerate(programs):
        group, place = divmod(n, generations)
        for t, action in enumerate(ids[:width]):
            own = credits[group][place].get(action)
            out[n, t] = whole[group, place] if own is None else own / scale
    return out


def credit_picks(
    programs: Sequence[Sequence[int]], rewards: Array, scored: NDArray[np.bool_]
) -> list[dict[int, float]]:
    """Credit the picks of one group, per program; ``rewards`` are centred, unscored programs teach nothing."""
    picks = [
        sorted({a for a in ids if a >= FIRST_PICK}) if ok else [] for ids, ok in zip(programs, scored, strict=True)
    ]
    known = sorted({a for one in picks for a in one})
    if not known:
        return [{a: 0.0 for a in ids if a >= FIRST_PICK} for ids in programs]
    place = {a: i for i, a in enumerate(known)}
    chosen = np.zeros((int(scored.sum()), len(known)))
    for row, one in enumerate(p for p, ok in zip(picks, scored, strict=True) if ok):
        chosen[row, [place[a] for a in one]] = 1.0
    centred = chosen - chosen.mean(0)
    worth = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(len(known)), centred.T @ rewards[scored])
    mean = float((chosen * worth).sum() / chosen.sum())
    return [
        {a: float(worth[place[a]]) - mean if ok else 0.0 for a in ids if a >= FIRST_PICK}
        for ids, ok in zip(programs, scored, strict=True)
    ]


def _spread(values: Array) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
