"""Fit the red-flag classifier: logistic regression on n-grams plus an SVM on embeddings.

    threshold = quantile of (1 − FALSE_ALARMS) of the scores of independent rounds' routine messages,
                each scored by a fit without its round

Run: ``pmlm triage --learn``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from models.encoder import MiniLM
from models.safety.triage.classifier import NGRAM_SHARE, WEIGHTS, TriageClassifier
from models.safety.triage.ngrams import BUCKETS, hash_ngrams
from pipelines.triage import corpus
from pipelines.triage.corpus import TriageExample

VERSION = "1"
GAMMA, PENALTY, NGRAM_PENALTY = 2.0, 5.0, 30.0
#: Set on rounds 19 and 20, which the weights were not fitted on: 0.98 of their emergencies are escalated, and 0.11 of
#: the routine messages. At 0.13, their first look's value, it was 0.996 and 0.15.
FALSE_ALARMS = 0.09
#: From this round on each was written by somebody who had seen neither the system nor any earlier message.
FIRST_INDEPENDENT_ROUND = 12


def fit_and_save(encoder: MiniLM, target: Path = WEIGHTS, hold_out: Sequence[int] = ()) -> dict[str, float]:
    """Fit both languages on all but the rounds ``hold_out``; write weights, return thresholds."""
    rounds = [m for m in corpus.read_judged() if m["round"] not in hold_out]
    fitted = {language: _fit_language(language, rounds, encoder) for language in corpus.LANGUAGES}
    tensors: dict[str, np.ndarray] = {}
    for language, one in fitted.items():
        halves = {"idf": one.idf, "weights": one.weights, "support": one.support}
        tensors |= {f"{language}.{name}": np.asarray(value, np.float16) for name, value in halves.items()}
        tensors[f"{language}.dual"] = one.dual.astype(np.float32)
        tensors[f"{language}.scalars"] = np.array([one.bias, one.gamma, one.threshold])
    about = {"version": VERSION, "encoder": encoder.id, "corpus": corpus.hash_corpus(rounds)}
    about["rounds"] = " ".join(str(n) for n in sorted({m["round"] for m in rounds}))
    save_file(tensors, target, about)
    return {language: one.threshold for language, one in fitted.items()}


def _fit_language(language: str, rounds: Sequence[dict[str, Any]], encoder: MiniLM) -> TriageClassifier:
    mine = [m for m in rounds if m["lang"] == language]
    calm = [score for m, score in score_unseen_rounds(language, mine, encoder) if m["label"] == "routine"]
    threshold = float(np.quantile(calm, 1 - FALSE_ALARMS))
    scorer = fit(language, corpus.build_examples(language, mine), encoder)
    return replace(scorer, threshold=round(threshold, 4))


def score_unseen_rounds(
    language: str, rounds: Sequence[dict[str, Any]], encoder: MiniLM
) -> Iterator[tuple[dict[str, Any], float]]:
    """Score each independent round's messages by a fit without that round."""
    for number in sorted({m["round"] for m in rounds if m["round"] >= FIRST_INDEPENDENT_ROUND}):
        without = fit(language, corpus.build_examples(language, [m for m in rounds if m["round"] != number]), encoder)
        left_out = [m for m in rounds if m["round"] == number]
        texts = [m["text"] for m in left_out]
        vectors = encoder.encode(texts) if language == "en" else [None] * len(texts)
        yield from ((m, without.score(m["text"], v)) for m, v in zip(left_out, vectors, strict=True))


def fit(language: str, examples: Sequence[TriageExample], encoder: MiniLM) -> TriageClassifier:
    """Fit one language's classifier, with threshold 0; deterministic."""
    texts = [e.text for e in examples]
    flagged = np.array([e.flagged for e in examples])
    weight = np.array([e.weight for e in examples])
    idf = _idf(texts, language)
    linear = LogisticRegression(C=NGRAM_PENALTY, max_iter=3000, class_weight="balanced")
    linear.fit(_matrix(texts, language, idf), flagged, sample_weight=weight)
    support, dual, bias = np.zeros((0, 0)), np.zeros(0), NGRAM_SHARE * float(linear.intercept_[0])
    if language == "en":
        machine = SVC(C=PENALTY, gamma=GAMMA, class_weight="balanced")
        machine.fit(encoder.encode(texts).astype(np.float64), flagged, sample_weight=weight)
        support, dual = machine.support_vectors_, machine.dual_coef_[0]
        bias += float(machine.intercept_[0])
    return TriageClassifier(language, idf, linear.coef_[0], bias, support, dual, GAMMA, 0.0)


def _idf(texts: Sequence[str], language: str) -> np.ndarray:
    seen = np.zeros(BUCKETS)
    for text in texts:
        seen[hash_ngrams(text, language)[0]] += 1
    return np.asarray(np.float16(np.log((1 + len(texts)) / (1 + seen)) + 1), np.float64)


def _matrix(texts: Sequence[str], language: str, idf: np.ndarray) -> sparse.csr_matrix:
    rows = [hash_ngrams(text, language, idf) for text in texts]
    ends = np.cumsum([0, *(len(buckets) for buckets, _ in rows)])
    return sparse.csr_matrix(
        (np.concatenate([v for _, v in rows]), np.concatenate([b for b, _ in rows]), ends), shape=(len(texts), BUCKETS)
    )
