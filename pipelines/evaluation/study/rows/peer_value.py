"""Row 5: what like women add, where it was planted and where not.

The same recommender ranks each test episode's facts, cut to the caps (``comparison.peer_rates``):

    peer          replies to like questions of like women, and what her peers' outcomes say (``peer.`` sentences)
    random_women  the same, women likened to a woman at random
    self          replies to like questions of any women, without ``peer.`` sentences: her question and her record alone
    global        how often each fact is taken up at all

``peer_vs_X_planted`` is the difference in F1 over topics in which similar patients matter, ``peer_vs_self_control``
over topics where nothing was planted: there it must be nothing. A control *holds* where its interval allows a gain of
at most ``ZERO``, so a wide interval of few episodes holds too: read its width. Without a simulator's truth there are no
rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.refiner.interface import Caps
from models.schema import Episode
from pipelines.evaluation.nightly.intervals import bootstrap_difference
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.peer_rates import PeerRates, describe_patient, fit_peer_rates
from pipelines.evaluation.study.comparison.truth import CONTROL, PLANTED, ReplyTruth
from pipelines.splits import TEST

RIVALS = ("self", "random_women", "global")
DRAWS = 3  # of random women
ZERO = 0.02  # F1


def build_rows(bench: Bench, truth: Mapping[str, ReplyTruth]) -> list[MetricRow]:
    """Build the rows; none without truth, training replies or facts."""
    tests = [e for e in bench.test if e.episode_id in truth and e.facts & {s.key for s in e.free}]
    rates = fit_peer_rates(bench.train, bench.encode, bench.settings.k_anonymity) if tests else None
    if rates is None:
        return []
    vectors = np.asarray(bench.encode.encode([e.question for e in tests]), dtype=np.float64)
    scores = [score_rankings(rates, e, vector, tests, bench.caps) for e, vector in zip(tests, vectors, strict=True)]
    rows = []
    for kind in (PLANTED, CONTROL):
        ours = [(e, s) for e, s in zip(tests, scores, strict=True) if truth[e.episode_id].peers == kind]
        for rival in RIVALS:
            e = bootstrap_difference(
                [s["peer"] for _, s in ours], [s[rival] for _, s in ours], [e.subject_id for e, _ in ours]
            )
            name, aim = f"peer_vs_{rival}_{kind}", 0.0 if kind == PLANTED or rival == "self" else None
            holds = e.ci_low > 0 if kind == PLANTED else e.ci_low <= ZERO and e.ci_high >= -ZERO
            rows.append(MetricRow.of(5, name, TEST, e, target=aim, holds=None if aim is None else holds))
    return [row for row in rows if row.n]


def score_rankings(
    rates: PeerRates, episode: Episode, question: np.ndarray, women: Sequence[Episode], caps: Caps
) -> dict[str, float]:
    """Compute the F1 of each ranking's head with the free facts behind an episode's reply."""
    own = describe_patient(episode, rates.traits)
    others = sorted((e for e in women if e.subject_id != episode.subject_id), key=lambda e: e.episode_id)
    random = np.random.default_rng(int(episode.episode_id, 16) % 2**32 if _is_hex(episode.episode_id) else 0)
    drawn = [others[i] for i in random.integers(0, len(others), DRAWS)] if others else [episode]
    everyone = rates.rate(question, episode, None)
    overall = (rates.taken.sum(0) + 1) / (rates.seen.sum(0) + 2)
    globally = {s.key: float(overall[rates.facts[s.key]]) if s.key in rates.facts else 0.0 for s in episode.free}
    of_drawn = [rates.rate(question, episode, describe_patient(e, rates.traits)) for e in drawn]
    return {
        "peer": _f1(episode, rates.rate(question, episode, own), caps, True),
        "random_women": float(np.mean([_f1(episode, rate, caps, True) for rate in of_drawn])),
        "self": _f1(episode, everyone, caps, False),
        "global": _f1(episode, globally, caps, True),
    }


def _f1(episode: Episode, rate: Mapping[str, float], caps: Caps, peers: bool) -> float:
    free = [s for s in episode.free if peers or s.kind != "peer"]
    ordered = sorted(free, key=lambda s: (-round(rate[s.key], 5), s.key))
    picks = {s.key for s in caps.fit(ordered)}
    facts = episode.facts & {s.key for s in episode.free}
    return 2 * len(picks & facts) / (len(picks) + len(facts))


def _is_hex(text: str) -> bool:
    return bool(text) and all(c in "0123456789abcdef" for c in text)
