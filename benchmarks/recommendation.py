"""Compare recommenders of facts on one clinic's replies: the initial ranking, matrix factorisation, EASE.

    python -m benchmarks.recommendation --home STATE --drops CLINIC        (after ``pmlm night`` there)

Every method learns from the same interactions: uptake of the training replies (``models.replies.alignment``),
facts of at least k patients. ``F1@4`` compares the first four free facts of a ranking with those behind the simulated
reply, over all test questions with such a fact; intervals are over patients. Methods:

ranking     the product: logistic regression over the rate r, nearness, change and surprise
rate        r alone; ``rate_without_k`` the same with k = 1, never served; ``key_rate`` the key over all questions
ease        EASE (Steck 2019) over kinds of question, facts known and facts taken up, P = (XᵀX + λI)⁻¹: its weights
            I − P diag(P)⁻¹ solved for the facts taken up, none of which is known of a new question
nmf, svd    factors of the matrix of kinds of question and facts taken up (scikit-learn), a new question folded in
minilm      nearness of a fact's sentence to the question

Writes ``benchmarks/results/recommendation.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.decomposition import NMF, TruncatedSVD

from benchmarks.serving.figures import row
from models.encoder import Encoder
from models.peers.recommendation import BANDWIDTH, Recommender, Reply, fit_recommender, rate_facts
from models.prompt.ranking import Questioner, rank_segments
from models.prompt.ranking_fit import fit_ranker
from models.replies.question_kinds import cluster_questions
from models.schema import Episode, Segment
from pipelines import splits
from pipelines.embedding_cache import open_encoder
from pipelines.episodes import recommend, stage
from pipelines.episodes.conversations import pair_exchanges
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.params import load_params
from pipelines.records.log import event_log
from pmlm.settings import Settings, load_settings

RESULTS = Path(__file__).parent / "results" / "recommendation.json"
PICKS = 4
TARGET = 0.35
FACTORS, RIDGE = 12, 20.0
#: Scores of an episode's free segments, in their order.
Method = Callable[[Episode, np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="state of a clinic whose night has run")
    parser.add_argument("--drops", type=Path, required=True, help="the clinic")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    settings = load_settings(home=asked.home, drops=asked.drops)
    with open_encoder(settings) as encoder:
        rows = measure(read_episodes(settings, encoder), encoder, settings)
    asked.out.write_text(json.dumps(rows, indent=1) + "\n")
    for found in rows:
        sys.stdout.write(json.dumps(found) + "\n")


def read_episodes(settings: Settings, encoder: Encoder) -> list[Episode]:
    """Build the training episodes of a night, and all of the test split instead of a night's sample."""
    params = load_params(settings).episodes.model_copy(update={"most_held_out": 100_000})
    exchanges = pair_exchanges(event_log.scan_events(settings), settings.now())
    chosen = [(e, s) for e, s in stage.choose_exchanges(exchanges, params) if s != splits.GATE]
    return stage.build_episodes(settings, chosen, encoder)


def measure(episodes: Sequence[Episode], encoder: Encoder, settings: Settings) -> list[dict[str, object]]:
    """Measure every method on the test episodes, and the product against each other one."""
    replies = recommend.read_replies(episodes, encoder)
    test = [e for e in episodes if e.split == splits.TEST and e.facts & {s.key for s in e.free}]
    methods = build_methods(replies, episodes, encoder, settings.k_anonymity)
    subjects = [e.subject_id for e in test]
    vectors = encoder.encode([e.question for e in test])
    f1 = {
        name: [compute_f1(e, score(e, v)) for e, v in zip(test, vectors, strict=True)]
        for name, score in methods.items()
    }
    sizes = {"patients": len(set(subjects)), "training_replies": len(replies)}
    rows = []
    for name, values in f1.items():
        found = bootstrap_mean(values, subjects)
        goal = {"target": f"≥ {TARGET}", "holds": found.value >= TARGET} if name == "ranking" else {}
        interval = [round(found.ci_low, 3), round(found.ci_high, 3)]
        rows.append(row(f"{name}_f1_at_{PICKS}", found.value, "F1", found.n, ci=interval, **goal, **sizes))
    for name in [n for n in f1 if n != "ranking"]:
        found = bootstrap_difference(f1["ranking"], f1[name], subjects)
        goal = {"target": "> 0", "holds": found.ci_low > 0} if name == "minilm" else {}
        interval = [round(found.ci_low, 3), round(found.ci_high, 3)]
        rows.append(row(f"ranking_vs_{name}", found.value, "F1", found.n, ci=interval, **goal, **sizes))
    return rows


def build_methods(
    replies: Sequence[Reply], episodes: Sequence[Episode], encoder: Encoder, k: int
) -> Mapping[str, Method]:
    """Fit every method on the same replies."""
    ranker, one = fit_ranker(replies, encoder, k), fit_recommender(replies, 1)
    if ranker is None or one is None:
        raise SystemExit("too few replies to learn from")
    fitted, loose = ranker.recommender, one

    def rank(episode: Episode, _: np.ndarray) -> np.ndarray:
        ordered = rank_segments(
            episode.question, episode.segments, encoder, ranker, Questioner(episode.subject_id, episode.as_of)
        )
        place = {s.key: -i for i, s in enumerate(ordered)}
        return np.array([place[s.key] for s in episode.free], dtype=float)

    def rate(episode: Episode, vector: np.ndarray) -> np.ndarray:
        return rate_facts(fitted, vector, episode.free, episode.subject_id).rate

    def rate_without_k(episode: Episode, vector: np.ndarray) -> np.ndarray:
        return rate_facts(loose, vector, episode.free, episode.subject_id).rate

    def key_rate(episode: Episode, _: np.ndarray) -> np.ndarray:
        return look_up(fitted, fitted.taken.sum(0) / fitted.seen.sum(0), episode.free)

    def minilm(episode: Episode, vector: np.ndarray) -> np.ndarray:
        return np.asarray(encoder.encode([s.text for s in episode.free]) @ vector, dtype=float)

    kinds = cluster_questions([e.question for e in episodes if e.split == splits.TRAIN], encoder)
    return {"ranking": rank, "rate": rate, "rate_without_k": rate_without_k, "key_rate": key_rate, "minilm": minilm} | {
        "ease": fit_ease(fitted, kinds),
        "nmf": fit_factors(fitted, kinds, NMF(FACTORS, init="nndsvda", max_iter=500, random_state=0)),
        "svd": fit_factors(fitted, kinds, TruncatedSVD(FACTORS, random_state=0)),
    }


def fit_ease(fitted: Recommender, kinds: np.ndarray) -> Method:
    """EASE over [kinds, facts known, facts taken up], solved for those taken up, which are not known yet."""
    known, taken = (fitted.seen > 0).astype(float), fitted.taken
    x = np.hstack([spread_over_kinds(fitted.questions, kinds), known, taken])
    precision = np.linalg.inv(x.T @ x + RIDGE * np.eye(x.shape[1]))
    facts = len(fitted.columns)
    weights = -np.linalg.solve(precision[-facts:, -facts:], precision[-facts:, :-facts]).T

    def score(episode: Episode, vector: np.ndarray) -> np.ndarray:
        keys = {s.key for s in episode.free}
        here = np.array([float(name in keys) for name in fitted.columns])
        query = np.concatenate([spread_over_kinds(vector[None], kinds)[0], here])
        return look_up(fitted, query @ weights, episode.free)

    return score


def fit_factors(fitted: Recommender, kinds: np.ndarray, model: NMF | TruncatedSVD) -> Method:
    """Factors of [kinds, facts taken up]; a new question is folded in by its kinds alone."""
    model.fit(np.hstack([spread_over_kinds(fitted.questions, kinds), fitted.taken]))
    facts = len(fitted.columns)

    def score(episode: Episode, vector: np.ndarray) -> np.ndarray:
        query = np.concatenate([spread_over_kinds(vector[None], kinds)[0], np.zeros(facts)])[None]
        return look_up(fitted, model.inverse_transform(model.transform(query))[0, -facts:], episode.free)

    return score


def spread_over_kinds(questions: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """How much each question is of each kind [questions, kinds], with the recommender's kernel; rows sum to 1."""
    weight = np.exp((np.round(questions @ kinds.T, 5).astype(float) - 1.0) / BANDWIDTH)
    return np.asarray(weight / weight.sum(1, keepdims=True))


def look_up(fitted: Recommender, scores: np.ndarray, free: Sequence[Segment]) -> np.ndarray:
    """Scores of facts by their key; 0 for a fact of too few patients."""
    place = fitted.columns
    return np.array([float(scores[place[s.key]]) if s.key in place else 0.0 for s in free])


def compute_f1(episode: Episode, scores: np.ndarray) -> float:
    """F1 of the ``PICKS`` free facts of greatest score with the free facts behind the reply; ties by key."""
    order = sorted(zip(-np.round(scores, 6), (s.key for s in episode.free), strict=True))
    chosen, behind = {key for _, key in order[:PICKS]}, episode.facts & {s.key for s in episode.free}
    return 2 * len(chosen & behind) / (len(chosen) + len(behind))


if __name__ == "__main__":
    main()
