"""Measure the labels read off replies, the calibration of what learns from them, and its F1.

    python -m benchmarks.labels [--seeds 3] [--caps 4x60 6x90]        on the clinic of PMLM_HOME and PMLM_DROPS

For a synthetic clinic, whose facts behind each reply are known, after ``pmlm episodes``. ``label_auc`` is the mean
within-episode AUC of the labels against the facts, ``label_ap`` their pooled average precision, ``label_sum`` labels
per episode against facts. Then warm starts on these labels, one a seed: ``calibration_error`` on the gate split, the
mean absolute difference of probability and share of facts over eight bins, weighted by their size; ``f1`` on the test
split by caps, with its patient-clustered interval, and the same with the true facts as labels, the limit of what the
policy can read. ``caps_f1`` are on the gate split, where caps are chosen. No language model is asked. Writes
``benchmarks/results/labels.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.serving.figures import row
from models.encoder import Encoder
from models.refiner.featurizer import Featurizer
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import STYLES
from models.refiner.policy import Policy
from models.schema import Episode
from pipelines.determinism import deterministic_torch
from pipelines.embedding_cache import open_encoder
from pipelines.episodes import episode_file
from pipelines.evaluation.nightly.intervals import bootstrap_mean
from pipelines.params import Params, load_params
from pipelines.training import label_propagation, methods
from pipelines.training.gains import EpisodeGains
from pmlm.settings import load_settings

RESULTS = Path(__file__).parent / "results" / "labels.json"
BINS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
Rows = list[dict[str, Any]]


def measure_labels(labels: Sequence[EpisodeGains]) -> Rows:
    """Rows of the labels themselves."""
    pairs = [(_mark_facts(g.episode, len(g.segments)), _free(g, g.uptake)) for g in labels if g.uptake is not None]
    within = [roc_auc_score(y, p) for y, p in pairs if 0 < y.sum() < len(y)]
    facts, found = np.concatenate([y for y, _ in pairs]), np.concatenate([p for _, p in pairs])
    return [
        row("label_auc", float(np.mean(within)), "within episode", len(within)),
        row("label_ap", float(average_precision_score(facts, found)), "pooled", len(pairs)),
        row("label_sum", found.sum() / len(pairs), "per episode", len(pairs), baseline=facts.sum() / len(pairs)),
    ]


def use_true_facts(labels: Iterable[EpisodeGains]) -> list[EpisodeGains]:
    """The same episodes, labelled with the facts behind their replies."""
    found = []
    for g in labels:
        known = np.array([np.nan if s.pinned else float(s.key in g.episode.facts) for s in g.segments])
        found.append(EpisodeGains(g.episode, g.segments, g.gains, g.useful, np.zeros(len(STYLES)), known))
    return found


def train_policy(labels: Sequence[EpisodeGains], params: Params, encoder: Encoder, seed: int) -> Policy:
    """Train a warm start on the labels."""
    featurizer = Featurizer(encoder)
    prompts = methods.build_prompts([g.episode for g in labels], featurizer, params.slots)
    policy = methods.build_policy(params, seed)
    policy.pointer.set_table(featurizer.build_table())
    methods.fit_warm_start(policy, methods.build_examples(labels, prompts), params.train, seed)
    return policy


@torch.no_grad()
def predict_uptake(policy: Policy, episodes: Sequence[Episode], encoder: Encoder) -> list[np.ndarray]:
    """Predict p of each free segment that the policy reads."""
    featurizer, slots = Featurizer(encoder), policy.config.slots
    rows = [featurizer.add_prompt(e.question, e.segments[:slots]) for e in episodes]
    policy.pointer.set_table(featurizer.build_table())
    found = []
    for episode, mine in zip(episodes, rows, strict=True):
        ids = torch.tensor([[policy.config.vocab_size + r for r in mine]])
        state = policy.pointer.encode_state(*policy.pointer.find_slots(ids))
        chances = policy.pointer.score_segments(state).sigmoid()[0, : len(mine) - 1].numpy()
        found.append(chances[[not s.pinned for s in episode.segments[:slots]]])
    return found


def measure_calibration(policies: Sequence[Policy], episodes: Sequence[Episode], encoder: Encoder) -> Rows:
    """Rows of how far the probabilities are from the shares of facts."""
    facts = np.concatenate([_mark_facts(e, policies[0].config.slots) for e in episodes] * len(policies))
    found = [p for policy in policies for p in predict_uptake(policy, episodes, encoder)]
    chances = np.concatenate(found).astype(np.float64)
    bins = np.digitize(chances, BINS)
    error = sum(abs((chances - facts)[bins == b].sum()) for b in np.unique(bins)) / len(facts)
    each = len(episodes) * len(policies)
    return [
        row("calibration_error", float(error), "probability", len(facts)),
        row("expected_facts", chances.sum() / each, "per episode", each, baseline=facts.sum() / each),
    ]


def measure_f1(
    name: str, policies: Sequence[Policy], episodes: Sequence[Episode], encoder: Encoder, caps: tuple[int, int]
) -> dict[str, Any]:
    """One row: F1 with the free facts behind the replies, pooled over policies, with picks and tokens."""
    values, subjects, picks, tokens = [], [], [], []
    for policy in policies:
        policy.config.pick_cap, policy.config.token_cap = caps
        refiner = PolicyRefiner(policy, encoder, "refined")
        for episode in episodes:
            chosen = set(refiner.refine(episode.question, episode.segments).picks)
            facts = episode.facts & {s.key for s in episode.free}
            values.append(2 * len(chosen & facts) / (len(chosen) + len(facts)))
            subjects.append(episode.subject_id)
            picks.append(len(chosen))
            tokens.append(sum(s.tokens for s in episode.free if s.key in chosen))
    e = bootstrap_mean(values, subjects)
    more: dict[str, Any] = {
        "ci": [round(e.ci_low, 3), round(e.ci_high, 3)],
        "patients": e.patients,
        "seeds": len(policies),
    }
    spent: dict[str, Any] = {"picks": round(float(np.mean(picks)), 2), "tokens": round(float(np.mean(tokens)), 1)}
    return row(name, e.value, "F1", len(episodes), caps=f"{caps[0]}x{caps[1]}", **more, **spent)


def _mark_facts(episode: Episode, slots: int) -> np.ndarray:
    return np.array([s.key in episode.facts for s in episode.segments[:slots] if not s.pinned], np.float64)


def _free(one: EpisodeGains, values: np.ndarray) -> np.ndarray:
    return values[[not s.pinned for s in one.segments]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--caps", nargs="+", default=["4x60", "5x80", "6x100", "8x120"])
    options = parser.parse_args()
    settings = load_settings()
    params = load_params(settings)
    episodes = [e for e in episode_file.read_episodes(settings) if e.facts & {s.key for s in e.free}]
    by_split = {split: [e for e in episodes if e.split == split] for split in ("train", "gate", "test")}
    with deterministic_torch(), open_encoder(settings) as encoder:
        labels = label_propagation.propagate_labels([], by_split["train"], encoder, params.slots).gains
        rows = measure_labels(labels)
        for name, taught in (("", labels), ("true_labels_", use_true_facts(labels))):
            policies = [train_policy(taught, params, encoder, seed) for seed in range(options.seeds)]
            for text in options.caps:
                picks, tokens = map(int, text.split("x"))
                rows.append(measure_f1(f"{name}caps_f1", policies, by_split["gate"], encoder, (picks, tokens)))
                rows.append(measure_f1(f"{name}f1", policies, by_split["test"], encoder, (picks, tokens)))
            if not name:
                rows += measure_calibration(policies, by_split["gate"], encoder)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    sys.stdout.write(RESULTS.read_text())


if __name__ == "__main__":
    main()
