"""Row 13: how the night's training went where input was bad, from ``metrics/train.json`` and the episodes.

Dead groups (all rewards of a group equal: nothing is learnt from it), rewards that were not finite and were left out,
whether a weight became NaN and stopped the training, and segments that no prompt can hold or that say the same twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.schema import Episode
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly.intervals import Estimate
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.params import load_params
from pipelines.training.provenance import caps, slots
from pmlm.settings import Settings
from pmlm.storage import read_json


def rows(settings: Settings) -> list[MetricRow]:
    """Counts and shares of the last training; none where nothing was trained."""
    path = settings.metrics / "train.json"
    curves = read_json(path).get("grpo") if path.exists() else None
    found: dict[str, float] = {}
    if curves:
        dead = [float(x) for x in curves.get("dead", []) if x is not None]
        found |= {
            "steps": float(len(dead)),
            "dead_group_share": float(np.mean(dead)) if dead else float("nan"),
            "steps_skipped_zero_variance": float(sum(x == 1.0 for x in dead)),
            "rewards_not_finite": float(curves.get("unscored", 0)),
            "stopped_by_nan": float(bool(curves.get("stopped"))),
        }
    episodes = episode_file.read(settings)
    if episodes:
        params = load_params(settings)
        found |= unusable(episodes, caps(params).tokens, slots(params))
    return [
        MetricRow.of(13, f"training_{name}", "train", Estimate(value, float("nan"), float("nan"), 1, 0))
        for name, value in found.items()
    ]


def unusable(episodes: Sequence[Episode], longest: int, visible: int) -> dict[str, float]:
    """Segments beyond the token cap, unseen for want of a slot, and whose text another segment of the episode has."""
    return {
        "segments": float(sum(len(e.free) for e in episodes)),
        "segments_longer_than_cap": float(sum(s.tokens > longest for e in episodes for s in e.free)),
        "segments_without_slot": float(sum(max(0, len(e.segments) - visible) for e in episodes)),
        "segments_duplicate": float(sum(len(e.free) - len({s.text for s in e.free}) for e in episodes)),
    }
