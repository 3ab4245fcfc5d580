"""Row 13: how the night's training coped with bad input, from ``metrics/train.json`` and episodes.

Zero-variance groups (all rewards of a group equal, so no gradient), rewards that were not finite and were left out,
whether a NaN weight stopped the training, and segments that fit no prompt or duplicate another's text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.schema import Episode
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly.intervals import Estimate
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.params import load_params
from pmlm.settings import Settings
from pmlm.storage import read_json


def build_rows(settings: Settings) -> list[MetricRow]:
    """Build rows of the last training's counts and shares; none where nothing was trained."""
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
    episodes = episode_file.read_episodes(settings)
    if episodes:
        params = load_params(settings)
        found |= count_unusable(episodes, params.caps.tokens, params.slots)
    return [
        MetricRow.of(13, f"training_{name}", "train", Estimate(value, float("nan"), float("nan"), 1, 0))
        for name, value in found.items()
    ]


def count_unusable(episodes: Sequence[Episode], longest: int, visible: int) -> dict[str, float]:
    """Count segments above the token cap, without a slot, or with another segment's text."""
    return {
        "segments": float(sum(len(e.free) for e in episodes)),
        "segments_longer_than_cap": float(sum(s.tokens > longest for e in episodes for s in e.free)),
        "segments_without_slot": float(sum(max(0, len(e.segments) - visible) for e in episodes)),
        "segments_duplicate": float(sum(len(e.free) - len({s.text for s in e.free}) for e in episodes)),
    }
