"""Align replies with the facts of a record that they took up, by explaining away.

    p(k | y_j) ∝ λ(k, c_j) · exp(max(cos(s_k, y_j), 0.9 cos(s_k, y_{j−1})) / 0.15) · 10^{shared numbers ≤ 2} · g_kj
    p(∅ | y_j) ∝ ν · f(c_j) · exp(0.4 / 0.15)
    λ(k, c)    = (Σ_{e, j: c_j = c} p(k | y_j) + 0.05 a(c) f(c)) / (n(k, c) + a(c)),    a(c) = min(10, max(1, n(c) / 8))
    uptake(k)  = 1 − Π_j (1 − p(k | y_j))

y_j are the sentences of a training reply, their numbers masked for the cosine; c_j is the cluster of y_j
(``sentences``); k are the segments that were known when the question was asked, pinned ones too; ∅ is none of them.
n(c) counts the replies to questions of a kind to which c is written, n(k, c) those of them where k was known, f(c) is
how often c is written to them. g_kj is what a measured likelihood says of the pair (1 where nothing was measured). A
number in the sentence on a signal's latest value is no evidence for the sentence on its change, which repeats it. The
equations are solved by expectation maximisation, from λ = 0.3 f.

A noisy-or model of translation: as in IBM model 1 (Brown et al. 1993) every sentence has one source among all. What
is ours: λ is a rate over the occasions, not a distribution over the vocabulary, so that a fact that everybody has
does not explain a sentence that few receive; and λ is shrunk, so that a fact that few patients have does not explain
what many receive. Explaining away is that the segments compete for a sentence: likeness alone gives every segment its
share. A sentence that contradicts a segment cannot rest on it. Sentences that cannot be read, and those pasted word for
word into nine in ten replies to a kind of question, rest on nothing. One in half of them is general to the reward
(``models.reward.terms``) and is read here: "you have no epilepsy" is written to most, and of each it is a fact.

The facts behind simulated replies are never read. Run: ``pmlm train`` (before each warm start).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.encoder import Encoder
from models.replies.question_kinds import SAME_KIND_COSINE, cluster_vectors
from models.replies.sentences import (
    SentenceClusters,
    cluster_sentences,
    find_contradictions,
    find_numbers,
    is_readable,
    mask_numbers,
)
from models.schema import Episode, Segment

TEMPERATURE = 0.15  # of a cosine
CONTINUATION = 0.9  # a sentence may go on from the one before it
NUMBER_FACTOR = 10.0
MOST_NUMBERS = 2
NULL_WEIGHT, NULL_COSINE = 0.3, 0.4
RATE_PRIOR, FIRST_RATE = 0.05, 0.3
MOST_SHRINKAGE, REPLIES_PER_SHRINKAGE = 10.0, 8.0  # a(c), in occasions
KIND_SHARE = 0.05  # a cluster is written to a kind of question that has at least this share of it
CONTRADICTION = 1e-4
TEMPLATE_SHARE, TEMPLATE_PATIENTS = 0.9, 10
ITERATIONS = 15

#: By episode id: log g [sentences, free segments] of the measured ones.
Evidence = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class AlignedReply:
    """One reply: of each sentence, the probability that it rests on each segment.

    ``keys`` are those of the free segments and then of the pinned ones, ``posterior`` [sentences, keys + 1] with "none
    of them" last. ``uptake`` [free segments] is the probability that any sentence rests on it.
    """

    episode: Episode
    keys: tuple[str, ...]
    posterior: np.ndarray
    uptake: np.ndarray


@dataclass(slots=True)
class AlignmentCounts:
    """How many sentences were read, and why others were not; written to ``metrics/train.json``."""

    replies: int = 0
    read: int = 0
    unreadable: int = 0
    template: int = 0
    contradicting: int = 0


@dataclass(frozen=True, slots=True)
class ReplyAlignment:
    """All replies aligned, and how many of their sentences were read."""

    replies: tuple[AlignedReply, ...]
    counts: AlignmentCounts


@dataclass(slots=True)
class _Reading:
    """One episode before the alignment; ``usable`` are places of sentences that may rest on a segment."""

    episode: Episode
    segments: tuple[Segment, ...]
    free: int
    usable: list[int] = field(default_factory=list)

    @property
    def texts(self) -> tuple[str, ...]:
        return self.episode.reply


@dataclass(frozen=True, slots=True)
class _Occasions:
    """n(k, c) [keys, clusters], n(c) [clusters] and f(c) [clusters]."""

    known: np.ndarray
    replies: np.ndarray
    frequency: np.ndarray


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Every (sentence, segment) pair in one row: numbers of sentence, key, cluster, and its fixed log weight."""

    sentence: np.ndarray
    key: np.ndarray
    cluster: np.ndarray
    log_weight: np.ndarray
    of_sentence: np.ndarray


def align_replies(
    episodes: Sequence[Episode],
    encoder: Encoder,
    slots: int | None = None,
    evidence: Evidence | None = None,
    continuation: float = CONTINUATION,
) -> ReplyAlignment:
    """Align the replies of training episodes with the first ``slots`` segments of each.

    ``continuation`` is what a sentence takes over of the likeness of the one before it.
    """
    readings = [_read_episode(episode, slots) for episode in episodes]
    kinds = _number_kinds(episodes, encoder)
    counts = _select_usable(readings, kinds)
    clusters = cluster_sentences((r.texts[j] for r in readings for j in r.usable), encoder)
    keys = tuple(sorted({s.key for r in readings for s in r.segments}))
    pairs = _build_pairs(readings, clusters, keys, encoder, evidence or {}, counts, continuation)
    occasions = _count_occasions(readings, kinds, pairs, keys, len(clusters.wordings))
    posterior, null = _maximise(pairs, occasions)
    return ReplyAlignment(tuple(_collect(readings, posterior, null)), counts)


def _read_episode(episode: Episode, slots: int | None) -> _Reading:
    segments = episode.segments[:slots]
    free = tuple(s for s in segments if not s.pinned)
    return _Reading(episode, (*free, *(s for s in segments if s.pinned)), len(free))


def _number_kinds(episodes: Sequence[Episode], encoder: Encoder) -> np.ndarray:
    """The kind of each episode's question, [episodes]."""
    texts = sorted({e.question for e in episodes})
    found, _ = cluster_vectors(encoder.encode(texts), SAME_KIND_COSINE)
    kind = dict(zip(texts, found, strict=True))
    return np.array([kind[e.question] for e in episodes], np.int64)


def _select_usable(readings: Sequence[_Reading], kinds: np.ndarray) -> AlignmentCounts:
    """Leave out sentences that cannot be read and pasted templates; count them."""
    counts = AlignmentCounts(replies=sum(bool(r.texts) for r in readings))
    patients: dict[int, set[int]] = {}
    received: dict[tuple[int, str], set[int]] = {}
    for reading, kind in zip(readings, kinds, strict=True):
        patients.setdefault(int(kind), set()).add(reading.episode.subject_id)
        for text in reading.texts:
            received.setdefault((int(kind), text), set()).add(reading.episode.subject_id)
    for reading, kind in zip(readings, kinds, strict=True):
        for j, text in enumerate(reading.texts):
            asked, got = len(patients[int(kind)]), len(received[int(kind), text])
            if not is_readable(text):
                counts.unreadable += 1
            elif asked >= TEMPLATE_PATIENTS and got >= TEMPLATE_SHARE * asked:
                counts.template += 1
            else:
                counts.read += 1
                reading.usable.append(j)
    return counts


def _build_pairs(
    readings: Sequence[_Reading],
    clusters: SentenceClusters,
    keys: Sequence[str],
    encoder: Encoder,
    evidence: Evidence,
    counts: AlignmentCounts,
    continuation: float,
) -> _Pairs:
    """Compute log(exp(cosine / τ) · number factor · g) of every pair of a usable sentence and a segment."""
    number = {key: i for i, key in enumerate(keys)}
    vector = _encode_distinct(readings, encoder)
    sentence, key, weights = [], [], []
    of_sentence: list[int] = []
    for reading in readings:
        if not reading.usable or not reading.segments:
            continue
        texts = reading.texts
        replied = np.stack([vector[mask_numbers(t)] for t in texts])
        near = np.round(replied @ np.stack([vector[s.text] for s in reading.segments]).T, 5)
        near[1:] = np.maximum(near[1:], continuation * near[:-1].copy())
        numbers = _find_own_numbers(reading.segments)
        shared = [[len(find_numbers(t) & own) for own in numbers] for t in texts]
        weight = near / TEMPERATURE + np.log(NUMBER_FACTOR) * np.minimum(shared, MOST_NUMBERS)
        known = evidence.get(reading.episode.episode_id)
        if known is not None:
            weight[:, : reading.free] += known
        mine = [number[s.key] for s in reading.segments]
        for j in reading.usable:
            against = find_contradictions(texts[j], [s.key for s in reading.segments])
            counts.contradicting += int(against.any())
            sentence.append(np.full(len(mine), len(of_sentence)))
            of_sentence.append(clusters.find(texts[j]))
            key.append(mine)
            weights.append(weight[j] + np.log(CONTRADICTION) * against)
    flat = (np.concatenate(x).astype(np.int64) if x else np.zeros(0, np.int64) for x in (sentence, key))
    cluster = np.array(of_sentence, np.int64)
    of_pair, keyed = flat
    return _Pairs(of_pair, keyed, cluster[of_pair], np.concatenate(weights) if weights else np.zeros(0), cluster)


def _find_own_numbers(segments: Sequence[Segment]) -> list[frozenset[str]]:
    """The numbers in each segment, of a signal's change without those of its latest value."""
    latest = {s.key.removesuffix(".latest"): find_numbers(s.text) for s in segments if s.key.endswith(".latest")}
    return [
        find_numbers(s.text) - latest.get(s.key.removesuffix(".change"), frozenset())
        if s.key.endswith(".change")
        else find_numbers(s.text)
        for s in segments
    ]


def _encode_distinct(readings: Sequence[_Reading], encoder: Encoder) -> dict[str, np.ndarray]:
    """Encode every distinct segment text and number-masked sentence once."""
    texts = {s.text for r in readings for s in r.segments} | {mask_numbers(t) for r in readings for t in r.texts}
    ordered = sorted(texts)
    return dict(zip(ordered, encoder.encode(ordered), strict=True))


def _count_occasions(
    readings: Sequence[_Reading], kinds: np.ndarray, pairs: _Pairs, keys: Sequence[str], clusters: int
) -> _Occasions:
    """Count the replies that could have taken up each key by each cluster."""
    number = {key: i for i, key in enumerate(keys)}
    count = int(kinds.max(initial=-1)) + 1
    asked = np.bincount(kinds, minlength=count).astype(np.float64)
    known = np.zeros((len(keys), count))
    for reading, kind in zip(readings, kinds, strict=True):
        np.add.at(known, ([number[s.key] for s in reading.segments], kind), 1.0)
    written = np.zeros((clusters, count))
    speakers = [kind for reading, kind in zip(readings, kinds, strict=True) if reading.segments for _ in reading.usable]
    np.add.at(written, (pairs.of_sentence, speakers), 1.0)
    usual = (written / np.maximum(written.sum(1, keepdims=True), 1.0) > KIND_SHARE).astype(np.float64)
    replies = usual @ asked
    return _Occasions(known @ usual.T, replies, written.sum(1) / np.maximum(replies, 1.0))


def _maximise(pairs: _Pairs, occasions: _Occasions) -> tuple[np.ndarray, np.ndarray]:
    """Run expectation maximisation; return p of each pair, and p(∅) of each sentence."""
    (keys, clusters), frequency = occasions.known.shape, occasions.frequency
    shrinkage = np.clip(occasions.replies / REPLIES_PER_SHRINKAGE, 1.0, MOST_SHRINKAGE)
    sentences = len(pairs.of_sentence)
    # one factor per sentence leaves its posterior unchanged and its weights within the floating-point range
    top = np.full(sentences, NULL_COSINE / TEMPERATURE)
    np.maximum.at(top, pairs.sentence, pairs.log_weight)
    weight = np.exp(pairs.log_weight - top[pairs.sentence])
    null = NULL_WEIGHT * frequency[pairs.of_sentence] * np.exp(NULL_COSINE / TEMPERATURE - top)
    rates = np.tile(FIRST_RATE * frequency, (keys, 1))
    place = pairs.key * clusters + pairs.cluster
    posterior, nothing = np.zeros(len(weight)), np.ones(sentences)
    for _ in range(ITERATIONS):
        joint = rates[pairs.key, pairs.cluster] * weight
        total = np.bincount(pairs.sentence, joint, sentences) + null
        posterior, nothing = joint / total[pairs.sentence], null / total
        taken = np.bincount(place, posterior, keys * clusters).reshape(keys, clusters)
        rates = (taken + RATE_PRIOR * shrinkage * frequency) / (occasions.known + shrinkage)
    return posterior, nothing


def _collect(readings: Sequence[_Reading], posterior: np.ndarray, null: np.ndarray) -> list[AlignedReply]:
    """Cut the flat posterior into one table per reply."""
    found, at, sentence = [], 0, 0
    for reading in readings:
        count = len(reading.segments)
        table = np.zeros((len(reading.texts), count + 1))
        table[:, -1] = 1.0
        for j in reading.usable if count else ():
            table[j, :-1], table[j, -1] = posterior[at : at + count], null[sentence]
            at, sentence = at + count, sentence + 1
        uptake = 1 - np.prod(1 - np.clip(table[:, : reading.free], 0, 1), axis=0)
        keys = tuple(s.key for s in reading.segments)
        found.append(AlignedReply(reading.episode, keys, table, np.round(uptake, 6)))
    return found
