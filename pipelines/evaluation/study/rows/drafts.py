"""Measure reply drafts against the replies that patients got.

F1 is of clusters of specific sentences (``models.drafts.wordings``; two that are never written together, on one fact
and in one direction, count as one for every method), ROUGE-L of the whole text (longest common
subsequence of words, F1). Rivals: the sentences that patients with such questions most often get (un-personalised, by
the same stop rule and k), the whole reply to the nearest training question, and the draft made from the record of the
patient who asked the most similar question (shuffled). An episode without a draft counts as 0. ``contraindicated`` is
the share of drafted sentences one of whose facts is not on the patient's record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.drafts.catalogue import CataloguedSentence, DraftCatalogue, weigh_kinds
from models.drafts.drafting import SHARPNESS, Draft, count_best, draft_reply
from models.drafts.wordings import WordingClusters, mask_numbers, read_signature
from models.encoder import Encoder
from models.schema import Episode
from pipelines.drafts.stage import learn
from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import match_other_patients

NUMBER = 14
OURS = "draft"
RIVALS = ("unpersonalised", "nearest_reply", "shuffled")


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one method would send: the clusters of its specific sentences, and its text."""

    clusters: frozenset[object]
    text: str


def build_rows(
    train: Sequence[Episode], test: Sequence[Episode], encoder: Encoder, k: int, split: str
) -> list[MetricRow]:
    """Build the rows of drafts learnt from ``train`` on ``test``; none without episodes of both."""
    if not train or not test:
        return []
    catalogue, _ = learn(train, encoder, k)
    reader = _Reader(train, encoder, catalogue)
    common = _Commonest(train, reader, encoder, k)
    nearest = _find_nearest(train, test, encoder)
    others = match_other_patients(test, encoder)
    questions = encoder.encode([e.question for e in test])
    drafts = [draft_reply(q, e.segments, catalogue) for q, e in zip(questions, test, strict=True)]
    made: dict[str, list[_Reply]] = {
        OURS: [_read_draft(draft, reader) for draft in drafts],
        "unpersonalised": [common.reply(question) for question in questions],
        "nearest_reply": [reader.read_reply(episode) for episode in nearest],
        "shuffled": [
            _read_draft(draft_reply(q, o.segments, catalogue) if o else Draft((), {}), reader)
            for q, o in zip(questions, others, strict=True)
        ],
    }
    own = [reader.read_reply(episode) for episode in test]
    rows = []
    for measure, of in (("f1", _f1), ("rouge_l", _rouge)):
        scores = {name: [of(r, o) for r, o in zip(replies, own, strict=True)] for name, replies in made.items()}
        rows += _score_rows(measure, scores, [e.subject_id for e in test], split)
    return [*rows, *_draft_rows(drafts, test, split)]


def _score_rows(measure: str, scores: dict[str, list[float]], subjects: Sequence[int], split: str) -> list[MetricRow]:
    ours = scores[OURS]
    rows = [MetricRow.of(NUMBER, f"draft_{measure}", split, bootstrap_mean(ours, subjects))]
    for name in RIVALS:
        rows.append(MetricRow.of(NUMBER, f"draft_{measure}_{name}", split, bootstrap_mean(scores[name], subjects)))
        e = bootstrap_difference(ours, scores[name], subjects)
        rows.append(MetricRow.of(NUMBER, f"draft_{measure}_vs_{name}", split, e, target=0.0, holds=e.ci_low > 0))
    return rows


def _draft_rows(drafts: Sequence[Draft], test: Sequence[Episode], split: str) -> list[MetricRow]:
    """Coverage, sentences whose fact is not on the record, and the share of drafted facts behind the reply."""
    subjects = [e.subject_id for e in test]
    covered = bootstrap_mean([float(bool(d.sentences)) for d in drafts], subjects)
    wrong, who, behind, of_known = [], [], [], []
    for draft, episode in zip(drafts, test, strict=True):
        on_record = {(s.key, s.text) for s in episode.segments}
        for sentence in draft.sentences:
            wrong.append(float(any((f.key, f.text) not in on_record for f in sentence.facts)))
            who.append(episode.subject_id)
            if sentence.facts and episode.facts:
                behind.append(float(any(f.key in episode.facts for f in sentence.facts)))
                of_known.append(episode.subject_id)
    against: Estimate = bootstrap_mean(wrong, who)
    rows = [
        MetricRow.of(NUMBER, "draft_coverage", split, covered),
        MetricRow.of(NUMBER, "draft_contraindicated", split, against, target=0.0, holds=against.value == 0),
        MetricRow.of(NUMBER, "draft_fact_precision", split, bootstrap_mean(behind, of_known)),
    ]
    return [row for row in rows if row.n]


class _Reader:
    """Reads the clusters of sentences, as training replies make them."""

    def __init__(self, train: Sequence[Episode], encoder: Encoder, catalogue: DraftCatalogue) -> None:
        self._clusters = WordingClusters(encoder)
        self._clusters.fit([mask_numbers(s) for e in train for s in e.reply])
        self._same = self._merge_alternatives(catalogue)

    def _merge_alternatives(self, catalogue: DraftCatalogue) -> dict[int, int]:
        """Alternatives on one fact that say it in one direction count as one, whoever drafts them."""
        of = {s.id: self._clusters.find(s.text) for s in catalogue.sentences}
        same: dict[int, int] = {}
        for one in catalogue.sentences:
            for other in catalogue.sentences:
                if other.id in one.apart and _says_alike(one, other):
                    pair = sorted(c for c in (of[one.id], of[other.id]) if c is not None)
                    same[pair[-1]] = min(same.get(pair[-1], pair[0]), same.get(pair[0], pair[0]))
        return same

    def find(self, sentences: Sequence[str]) -> frozenset[object]:
        """The clusters; a sentence that is in none is one of its own."""
        found = [(s, self._clusters.find(mask_numbers(s))) for s in sentences]
        return frozenset(s if cluster is None else self._same.get(cluster, cluster) for s, cluster in found)

    def read_reply(self, episode: Episode) -> _Reply:
        specific = [s for s, own in zip(episode.reply, episode.specific, strict=True) if own]
        return _Reply(self.find(specific), " ".join(episode.reply))


def _says_alike(one: CataloguedSentence, other: CataloguedSentence) -> bool:
    if not one.conditions or not other.conditions or one.conditions[0].key != other.conditions[0].key:
        return False
    first, second = ({name for name in read_signature(s.text) if not name.startswith("drug:")} for s in (one, other))
    return first == second and bool(one.after) == bool(other.after)


class _Commonest:
    """The sentences that patients with such questions get most often, whoever they are."""

    def __init__(self, train: Sequence[Episode], reader: _Reader, encoder: Encoder, k: int) -> None:
        self._questions = encoder.encode([e.question for e in train])
        replies = [reader.read_reply(e).clusters for e in train]
        texts: dict[object, str] = {}
        patients: dict[object, set[int]] = {}
        for episode in train:
            for sentence, own in zip(episode.reply, episode.specific, strict=True):
                for cluster in reader.find([sentence]) if own else ():
                    texts.setdefault(cluster, sentence)
                    patients.setdefault(cluster, set()).add(episode.subject_id)
        self._texts = texts
        self._lengths = np.array([float(len(reply)) for reply in replies])
        self._clusters = sorted((c for c, who in patients.items() if len(who) >= k), key=str)
        self._said = np.array([[float(c in reply) for c in self._clusters] for reply in replies])

    def reply(self, question: np.ndarray) -> _Reply:
        if not self._clusters:
            return _Reply(frozenset(), "")
        weights = weigh_kinds(question, self._questions, SHARPNESS)
        if not weights.any():  # no like question, as for a draft
            return _Reply(frozenset(), "")
        rates = weights @ self._said
        order = np.argsort(-np.round(rates, 6), kind="stable")
        best = order[: count_best([float(rates[i]) for i in order], float(weights @ self._lengths))]
        chosen = [self._clusters[i] for i in best]
        return _Reply(frozenset(chosen), " ".join(self._texts[c] for c in chosen))


def _read_draft(draft: Draft, reader: _Reader) -> _Reply:
    return _Reply(reader.find([s.text for s in draft.sentences if s.role == "fact"]), draft.text)


def _find_nearest(train: Sequence[Episode], test: Sequence[Episode], encoder: Encoder) -> list[Episode]:
    near = np.round(encoder.encode([e.question for e in test]) @ encoder.encode([e.question for e in train]).T, 5)
    return [train[int(i)] for i in near.argmax(axis=1)]


def _f1(reply: _Reply, own: _Reply) -> float:
    total = len(reply.clusters) + len(own.clusters)
    return 2 * len(reply.clusters & own.clusters) / total if total else 1.0


def _rouge(reply: _Reply, own: _Reply) -> float:
    return measure_rouge_l(reply.text, own.text)


def measure_rouge_l(text: str, reference: str) -> float:
    """Measure F1 of the longest common subsequence of words (Lin 2004), lower case, without punctuation."""
    a, b = (re.findall(r"\w+", t.lower()) for t in (text, reference))
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if word == other else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(a) + len(b)) if a and b else 0.0
