"""Row 2: forecast a patient's next visit and next question from their own record.

Trained on the training patients' days before the cut in time, measured on the test patients' days after it. Baselines:
popularity, the last visit, and a Markov chain over codes, all counted on the same training days. A visit is a day with
more than questions. ``value`` of a difference is the mean over visits, its interval is over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.patient.forecaster import QUESTION_PREFIX
from models.patient.trajectory import (
    PatientDays,
    TrajectoryModel,
    Vocabulary,
    build_vocabulary,
    predict_next_days,
    train_trajectory,
)
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pmlm.storage import write_json

BEST = 10
BEST_TOPICS = 3
BASELINES = ("popularity", "last_visit", "markov")
BINS = np.array([0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0001])


@dataclass(frozen=True, slots=True)
class ForecastCase:
    """One forecast: the patient, the codes observed, and each method's scores over the vocabulary."""

    subject_id: int
    observed: np.ndarray
    scores: dict[str, np.ndarray]


def build_rows(
    train: Sequence[PatientDays],
    test: Sequence[tuple[PatientDays, float]],
    plots: Path | None,
    seeds: int,
    epochs: int = 40,
) -> list[MetricRow]:
    """Build row 2's rows; ``test`` pairs each record with its first measured day since birth."""
    known = build_vocabulary(train)
    if not known.codes or not test:
        return []
    models = [train_trajectory(train, known, epochs=epochs, seed=seed) for seed in range(seeds)]
    questions = np.array([c.startswith(QUESTION_PREFIX) for c in known.codes])
    chain = BaselineCounts(train, known, questions)
    visits = [
        case for record, start in test for case in _forecast_days(record, start, models, known, chain, questions, False)
    ]
    asked = [
        case for record, start in test for case in _forecast_days(record, start, models, known, chain, questions, True)
    ]
    found = _compare("next_visit", visits, ~questions, BEST, seeds)
    found += _compare("next_topic", asked, questions, BEST_TOPICS, seeds)
    found.append(_measure_calibration(visits, ~questions, seeds, plots))
    return found


class BaselineCounts:
    """Counts over training visits: popularity, and first-order transitions with add-half smoothing."""

    def __init__(self, train: Sequence[PatientDays], known: Vocabulary, questions: np.ndarray) -> None:
        size = len(known.codes)
        self.popular = np.zeros((2, size))
        follows, before_ = np.zeros((2, size, size)), np.zeros((2, size))
        for record in train:
            hot = known.multi_hot(record)
            last = np.zeros(size, np.float32)
            for day in hot:
                asks = int(day[questions].any() and not day[~questions].any())
                self.popular[asks] += day
                follows[asks] += np.outer(last, day)
                before_[asks] += last
                last = day if not asks else last
        self.popular /= np.maximum(1, self.popular.sum(1, keepdims=True))
        prior = self.popular[:, None, :]
        self._chance = (follows + 0.5 * prior) / (before_[:, :, None] + 0.5)

    def markov(self, last: np.ndarray, asks: int) -> np.ndarray:
        """Mean transition probability from the last visit's codes; popularity without any."""
        return self._chance[asks][last > 0].mean(0) if last.any() else self.popular[asks]


def _forecast_days(
    record: PatientDays,
    start: float,
    models: Sequence[TrajectoryModel],
    known: Vocabulary,
    chain: BaselineCounts,
    questions: np.ndarray,
    asks: bool,
) -> list[ForecastCase]:
    """Forecast one patient's days from ``start`` on: days with questions alone, or visits."""
    hot = known.multi_hot(record)
    from_models = np.mean([predict_next_days(model, known, record)[0] for model in models], axis=0)
    offset = len(hot) - len(from_models)
    out, last = [], np.zeros(len(known.codes), np.float32)
    for d in range(len(hot)):
        only_asks = bool(hot[d][questions].any() and not hot[d][~questions].any())
        came = hot[d] * (questions if asks else ~questions)
        if d - 1 - offset >= 0 and record.days[d] >= start and only_asks == asks and came.any():
            popular = chain.popular[int(asks)]
            scores = {
                "trajectory": from_models[d - 1 - offset],
                "popularity": popular,
                "last_visit": last + 0.5 * popular,  # the last visit's codes first, then the popular ones
                "markov": chain.markov(last, int(asks)),
            }
            out.append(ForecastCase(record.subject_id, came, scores))
        last = hot[d] if not only_asks else last
    return out


def _compare(name: str, cases: Sequence[ForecastCase], allowed: np.ndarray, best: int, seeds: int) -> list[MetricRow]:
    """Recall and NDCG at ``best`` of every method, and the trajectory's differences to each baseline."""
    subjects = [c.subject_id for c in cases]
    out = []
    for measure, figure in (("recall", compute_recall), ("ndcg", compute_ndcg)):
        values = {
            who: [figure(c.scores[who], c.observed, allowed, best) for c in cases] for who in ("trajectory", *BASELINES)
        }
        for who, each in values.items():
            out.append(
                MetricRow.of(2, f"{name}_{measure}{best}_{who}", "test", bootstrap_mean(each, subjects), seeds=seeds)
            )
        for who in BASELINES:
            estimate = bootstrap_difference(values["trajectory"], values[who], subjects)
            label = f"{name}_{measure}{best}_trajectory_vs_{who}"
            out.append(MetricRow.of(2, label, "test", estimate, target=0.0, holds=estimate.ci_low > 0, seeds=seeds))
    return [row for row in out if row.n]


def _top(scores: np.ndarray, allowed: np.ndarray, best: int) -> np.ndarray:
    return np.argsort(-np.where(allowed, scores, -np.inf), kind="stable")[:best]


def compute_recall(scores: np.ndarray, came: np.ndarray, allowed: np.ndarray, best: int) -> float:
    """Share of the observed codes (at most ``best``) among the ``best`` likeliest."""
    return float(came[_top(scores, allowed, best)].sum() / min(best, came.sum()))


def compute_ndcg(scores: np.ndarray, came: np.ndarray, allowed: np.ndarray, best: int) -> float:
    """Normalised discounted cumulative gain at ``best``."""
    weight = 1 / np.log2(np.arange(2, best + 2))
    top = _top(scores, allowed, best)
    return float((came[top] * weight[: len(top)]).sum() / weight[: int(min(best, came.sum()))].sum())


def _measure_calibration(
    cases: Sequence[ForecastCase], allowed: np.ndarray, seeds: int, plots: Path | None
) -> MetricRow:
    """Measure the trajectory's expected calibration error; write the points of its plot."""
    forecasts = np.concatenate([c.scores["trajectory"][allowed] for c in cases]) if cases else np.zeros(0)
    came = np.concatenate([c.observed[allowed] for c in cases]) if cases else np.zeros(0)
    place = np.digitize(forecasts, BINS) - 1
    points = [  # "said" and "came" are keys of the file
        {
            "said": float(forecasts[place == b].mean()),
            "came": float(came[place == b].mean()),
            "n": int((place == b).sum()),
        }
        for b in range(len(BINS) - 1)
        if (place == b).any()
    ]
    if plots is not None:
        write_json(plots / "calibration.json", points)
    error = sum(p["n"] * abs(p["said"] - p["came"]) for p in points) / max(1, len(forecasts))
    patients = len({c.subject_id for c in cases})
    return MetricRow(
        2, "next_visit_calibration_error", "test", round(error, 6), None, None, len(cases), patients, seeds
    )
