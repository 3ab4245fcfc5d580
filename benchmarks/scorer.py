"""Speed of scoring with bfloat16 products, and agreement of gains with fp32.

    python -m benchmarks.scorer [--episodes 12]

Both run in turn on the current clinic's training episodes (after `pmlm night`). Writes benchmarks/results/scorer.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.serving.figures import machine
from models.reward.embedded_scorer import EmbeddedScorer
from models.reward.terms import score_trials
from models.schema import Episode
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly.intervals import bootstrap_mean
from pipelines.training.gains import build_probe_programs
from pipelines.training.rewards import build_trial
from pmlm.settings import Settings

RESULTS = Path(__file__).parent / "results" / "scorer.json"


def measure_gains(scorer: EmbeddedScorer, episodes: list[Episode]) -> tuple[list[np.ndarray], int, float]:
    """Measure each episode's single gains (nats per token); count scores and seconds."""
    found, scores, seconds = [], 0, 0.0
    for episode in episodes:
        trials = [build_trial(episode, p) for p in build_probe_programs(episode.segments)]
        started = time.perf_counter()
        got = np.array([s.specific for s in score_trials(scorer, trials)])
        seconds += time.perf_counter() - started
        scores += len(trials)
        found.append(got[1:] - got[0])
    return found, scores, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=12)
    most = parser.parse_args().episodes
    settings = Settings()
    episodes = [e for e in episode_file.read_episodes(settings) if e.split == "train" and any(e.specific)][:most]
    torch.set_num_threads(1)
    full, half = (EmbeddedScorer(settings.embedded_llm, bf16=bf16) for bf16 in (False, True))
    for scorer in (full, half):
        measure_gains(scorer, episodes[:1])  # loads the model
    exact, n, slow = measure_gains(full, episodes)
    rounded, _, fast = measure_gains(half, episodes)
    correlations = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(exact, rounded, strict=True)]
    e = bootstrap_mean(correlations, [x.subject_id for x in episodes])
    rms = float(np.sqrt(np.mean(np.concatenate([a - b for a, b in zip(exact, rounded, strict=True)]) ** 2)))
    rows = [
        {"name": "scores_a_second", "value": n / fast, "unit": "1/s, one thread", "baseline": n / slow,
         "ratio": slow / fast, "n": n},
        {"name": "gains_correlation", "value": e.value, "ci": [e.ci_low, e.ci_high], "unit": "within episode",
         "n": len(episodes)},
        {"name": "gains_rms_difference", "value": rms, "unit": "nats per token", "n": n,
         "baseline": float(np.std(np.concatenate(exact)))},
    ]  # fmt: skip
    RESULTS.write_text(json.dumps([{**row, "machine": machine()} for row in rows], indent=1) + "\n")
    sys.stdout.write(RESULTS.read_text())


if __name__ == "__main__":
    main()
