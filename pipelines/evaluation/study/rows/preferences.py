"""Row 12: error of the estimated style preference, by number of ratings.

The patient is simulated, and the row says so: the sample clinic's rule (``synthetic.portal.conversations.rate_reply``)
gives the ratings, and the true mean rating of each style is that rule's mean over many replies. The estimate is
``models.patient.preferences.shrink_mean``, toward the global mean or (cold start) toward the mean of ``PEERS`` other
patients of any liking; the baseline is the global mean alone. Errors are absolute, in points of the 1–5 scale, over
both styles.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from models.patient.preferences import GLOBAL_MEAN, shrink_mean
from pipelines.evaluation.nightly.intervals import bootstrap_difference
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.synthetic.portal.conversations import rate_reply
from pipelines.synthetic.portal.replies import ReplySentence, RuleReply
from pipelines.synthetic.records.traits import Style

PATIENTS = 200
RATINGS = (0, 1, 2, 4, 8)
PEERS = 10
STYLES: tuple[Style, ...] = ("brief", "detailed")
MANY = 400


def build_rows(seeds: int) -> list[MetricRow]:
    """Build row 12's rows: the global mean's error less the estimate's, by ratings per style."""
    out = []
    truth = {(style, likes): _mean(_draw_ratings(style, likes, random.Random(f"{style}/{likes}"), MANY))
             for style in STYLES for likes in STYLES}  # fmt: skip
    for count in RATINGS:
        own: list[float] = []
        from_peers: list[float] = []
        flat: list[float] = []
        for seed in range(seeds):
            for patient in range(PATIENTS):
                errors = _estimate_errors(random.Random(f"{seed}/{patient}/{count}"), count, truth)
                own.append(errors[0])
                from_peers.append(errors[1])
                flat.append(errors[2])
        if count:
            out.append(_build_row(f"preference_{count}_ratings_vs_global_mean", flat, own, seeds))
        out.append(_build_row(f"preference_{count}_ratings_and_peers_vs_global_mean", flat, from_peers, seeds))
    return out


def _estimate_errors(
    rng: random.Random, count: int, truth: dict[tuple[Style, Style], float]
) -> tuple[float, float, float]:
    """Mean absolute errors for one patient: own ratings, own and peers' ratings, global mean."""
    likes = rng.choice(STYLES)
    found = []
    for style in STYLES:
        given = _draw_ratings(style, likes, rng, count)
        peers = _mean([_mean(_draw_ratings(style, rng.choice(STYLES), rng, 3)) for _ in range(PEERS)])
        mean, true = (_mean(given) if given else None), truth[style, likes]
        priors = (GLOBAL_MEAN, peers)
        estimates = [abs(shrink_mean(mean, count, prior).mean - true) for prior in priors]
        found.append((*estimates, abs(GLOBAL_MEAN - true)))
    own, shared, flat = np.mean(found, axis=0)
    return float(own), float(shared), float(flat)


def _draw_ratings(style: Style, likes: Style, rng: random.Random, count: int) -> list[int]:
    """Draw the patient's ratings of ``count`` replies in one style, of varying content."""
    return [rate_reply(_draw_reply(style, rng), likes, rng) for _ in range(count)]


def _draw_reply(style: Style, rng: random.Random) -> RuleReply:
    facts = tuple(ReplySentence("x", (f"fact{i}",)) for i in range(rng.randrange(2, 5)))
    return RuleReply("simulated", style, facts, (), complete=rng.random() < 0.6)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _build_row(name: str, worse: list[float], better: list[float], seeds: int) -> MetricRow:
    e = bootstrap_difference(worse, better, range(len(worse)))
    return MetricRow.of(12, name, "simulated", e, target=0.0, holds=e.ci_low > 0, seeds=seeds)
