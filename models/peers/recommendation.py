"""Estimate how often clinicians take a fact up in replies to like questions.

    r(q, f) = (Σ_p c_p y_pf + a·ρ) / (Σ_p c_p n_pf + a)
    n_pf = Σ_j w_j [f was a candidate of reply j],   y_pf = Σ_j w_j u_jf,   w_j = exp((cos(q, q_j) − 1)/b), cos ≥ 0.3
    c_p = min(1, n_(k)f / n_pf)                     n_(k)f: the k-th largest n_pf, so no donor weighs more than 1/k

p runs over *donors*, patients other than the one who asks, j over p's training replies, and u_jf is how probably reply
j takes f up. Every rate stands for at least k donors; with fewer the next coarser rate takes its place, toward which it
is shrunk in any case (the prior ρ):

    fact with its state (outside the own band or not) → fact → mean of the fact's rate over all questions and of its
    family's (kind of fact) over like ones → family over all questions → all facts

A second rate is of the subject matter ("about": asthma, whether present, suspected or absent), which rare conditions
need. Facts of fewer than k patients have no column. ``donors`` and ``share``, which people are shown, count replies to
questions of cosine ≥ ``LIKE`` alone, and are rounded: two exact counts reveal who came between two nights. Of the
asker's own earlier replies only the asker's own ranking reads.

This is neighbourhood collaborative filtering with questions in the place of users; the paper's recommender is not
known. Departures from the textbook's: soft labels, priors, the cap c, and no similarity of patients (it was worth −.004
F1 in the probe). Matrix factorisation and EASE are compared with it by ``python -m benchmarks.recommendation``.

Run: ``pmlm stage episodes``, ``pmlm ask``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from scipy import sparse

from models.peers.aggregates import round_count
from models.relevance.concerns import match_nothing
from models.schema import Segment

BANDWIDTH = 0.15  # b
RELATED = 0.3  # least cosine of a question that counts for a rate
LIKE = 0.6  # least cosine of a question that donors who are shown have asked
SHRINKAGE = 4.0  # a, replies
OUTSIDE = 2.0  # standard deviations beyond which a value has left the patient's own band
UNKNOWN = 0.5  # the rate of a fact that too few patients have to be rated
SHARE_STEP = 0.05  # a share that is shown is a multiple of this
_CODED = ("condition.code:", "medicine.code:", "suspected.code:")


@dataclass(frozen=True, slots=True)
class Reply:
    """One training reply: patient, time and vector of the question, each candidate's probability of being taken up.

    ``matches`` are the concerns of the question (``models.relevance``).
    """

    id: str
    subject_id: int
    as_of: datetime
    question: np.ndarray
    facts: tuple[Segment, ...]
    uptake: np.ndarray
    matches: np.ndarray = field(default_factory=match_nothing)


@dataclass(frozen=True)
class Recommender:
    """Interactions of training replies, ordered by patient.

    ``seen`` counts candidates and ``taken`` sums uptake, both [replies, columns]; ``subjects`` [replies] are patients,
    ``times`` [replies] when they asked (microseconds), ``starts`` [patients] each patient's first row, ``seen_by`` and
    ``taken_by`` [patients, columns] the same interactions by patient.
    """

    k: int
    columns: dict[str, int]
    questions: np.ndarray
    subjects: np.ndarray
    times: np.ndarray
    seen: np.ndarray
    taken: np.ndarray
    starts: np.ndarray
    seen_by: np.ndarray
    taken_by: np.ndarray


@dataclass(frozen=True, slots=True)
class Rates:
    """Of each fact: rates r and "about", what the asker's own earlier replies took up of how many, and donors.

    ``donors`` of like questions are 0 or at least k; they and ``share`` are rounded, which is NaN without donors.
    """

    rate: np.ndarray
    about: np.ndarray
    own_taken: np.ndarray
    own_seen: np.ndarray
    donors: np.ndarray
    share: np.ndarray


def list_columns(segment: Segment) -> tuple[str, str, str, str]:
    """Name a fact's columns: itself, itself with its state, its subject matter, its family."""
    key, outside = segment.key, abs(segment.change) >= OUTSIDE
    head, _, tail = key.partition(".")
    family = next((prefix for prefix in _CODED if key.startswith(prefix)), None)
    if key.endswith((".latest", ".change")):
        family, about = f".{tail}", head
    else:
        about = key if family or not tail else tail if head in ("condition", "suspected", "no") else key
        family = family or head
    state = " outside" if outside else " inside"
    return key, key + state, f"about {about}", f"family {family}{state}"


def fit_recommender(replies: Iterable[Reply], k: int) -> Recommender | None:
    """Collect the interactions of training replies; None where no fact is known of ``k`` patients.

    The order of the replies does not matter.
    """
    ordered = sorted((r for r in replies if r.facts), key=lambda r: (r.subject_id, r.id))
    owners: dict[str, set[int]] = {}
    for reply in ordered:
        for segment in reply.facts:
            for name in list_columns(segment):
                owners.setdefault(name, set()).add(reply.subject_id)
    columns = {name: i for i, name in enumerate(sorted(name for name, who in owners.items() if len(who) >= k))}
    if not columns:
        return None
    seen, taken = np.zeros((len(ordered), len(columns))), np.zeros((len(ordered), len(columns)))
    for row, reply in enumerate(ordered):
        for segment, uptake in zip(reply.facts, reply.uptake, strict=True):
            for name in list_columns(segment):
                if name in columns:
                    seen[row, columns[name]] += 1.0
                    taken[row, columns[name]] += min(1.0, max(0.0, float(uptake)))
    return build_recommender(
        k,
        tuple(columns),
        np.stack([r.question for r in ordered]).astype(np.float32),
        np.array([r.subject_id for r in ordered], dtype=np.int64),
        np.array([r.as_of.timestamp() * 1e6 for r in ordered]).round().astype(np.int64),
        sparse.csr_array(seen.astype(np.float32)),
        sparse.csr_array(taken.astype(np.float32)),
    )


def build_recommender(
    k: int,
    columns: Sequence[str],
    questions: np.ndarray,
    subjects: np.ndarray,
    times: np.ndarray,
    seen: sparse.csr_array,
    taken: sparse.csr_array,
) -> Recommender:
    """Build a recommender from stored interactions, made dense: a night learns from few thousand replies."""
    places = {name: i for i, name in enumerate(columns)}
    known, up = (matrix.toarray().astype(np.float64) for matrix in (seen, taken))
    seen_by, taken_by = _sum_by_patient(subjects, np.ones(len(subjects)), known, up)
    starts = _find_starts(subjects)
    return Recommender(k, places, questions, subjects, times, known, up, starts, seen_by, taken_by)


def rate_facts(
    found: Recommender,
    question: np.ndarray,
    facts: Sequence[Segment],
    subject_id: int | None = None,
    as_of: datetime | None = None,
) -> Rates:
    """Rate each fact for a question; ``subject_id`` is who asks, never a donor.

    ``as_of`` bounds their own replies that count, all by default.
    """
    names = [list_columns(s) for s in facts]
    used = np.array(sorted({found.columns[n] for four in names for n in four if n in found.columns}), dtype=int)
    place = {int(column): i for i, column in enumerate(used)}
    key, state, about, family = (
        np.array([place.get(found.columns.get(four[level], -1), -1) for four in names], dtype=int) for level in range(4)
    )
    k, own = found.k, np.zeros(len(found.subjects), bool) if subject_id is None else found.subjects == subject_id
    others = ~own[found.starts]
    cosine = np.where(own, -1.0, np.round(found.questions @ question.astype(np.float32), 5))
    related = np.flatnonzero(cosine >= RELATED)  # the only rows that weigh anything
    near = cosine[related]
    subjects, seen, taken = (
        found.subjects[related],
        found.seen[np.ix_(related, used)],
        found.taken[np.ix_(related, used)],
    )
    everywhere = _sum_capped(found.seen_by[:, used][others], found.taken_by[:, used][others], k)
    here = _sum_capped(*_sum_by_patient(subjects, np.exp((near - 1.0) / BANDWIDTH), seen, taken), k)

    of_family = _shrink(everywhere, family, np.full(len(facts), _rate_all(found, others)), k)
    of_key = _shrink(everywhere, key, of_family, k)
    prior = 0.5 * (of_key + _shrink(here, family, of_family, k))
    rate = _shrink(here, state, _shrink(here, key, prior, k), k)
    earlier = np.flatnonzero(own if as_of is None else own & (found.times < round(as_of.timestamp() * 1e6)))
    return Rates(
        rate,
        _shrink(here, about, prior, k),
        np.append(found.taken[np.ix_(earlier, used)].sum(0), 0.0)[key],
        np.append(found.seen[np.ix_(earlier, used)].sum(0), 0.0)[key],
        *_count_donors(*_sum_by_patient(subjects, near >= LIKE, seen, taken), key, k),
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """Σ c·y, Σ c·n and donors of each column; the last entry is that of a fact without a column."""

    taken: np.ndarray
    seen: np.ndarray
    donors: np.ndarray


def _sum_by_patient(
    subjects: np.ndarray, weight: np.ndarray, seen: np.ndarray, taken: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted sums [patients, columns] over the rows of positive weight, whose patients are in blocks."""
    rows = np.flatnonzero(weight)
    if not len(rows):
        return seen[:0], taken[:0]
    starts = _find_starts(subjects[rows])
    seen_by, taken_by = (np.add.reduceat(weight[rows, None] * part[rows], starts, axis=0) for part in (seen, taken))
    return seen_by, taken_by


def _find_starts(subjects: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.append(True, subjects[1:] != subjects[:-1]))


def _sum_capped(seen_by: np.ndarray, taken_by: np.ndarray, k: int) -> _Sums:
    """Sum over patients so that none weighs more than the k-th heaviest."""
    count, width = seen_by.shape
    if count < k:
        return _Sums(*(np.zeros(width + 1) for _ in range(3)))
    most = np.partition(seen_by, count - k, axis=0)[count - k]
    cap = np.divide(np.minimum(seen_by, most), seen_by, out=np.zeros_like(seen_by), where=seen_by > 0)
    sums = ((cap * taken_by).sum(0), (cap * seen_by).sum(0), (seen_by > 0).sum(0))
    return _Sums(*(np.append(part, 0.0) for part in sums))


def _shrink(sums: _Sums, column: np.ndarray, prior: np.ndarray, k: int) -> np.ndarray:
    """The rate of each fact's column, shrunk to its prior, which alone counts with fewer than ``k`` donors."""
    rate = (sums.taken[column] + SHRINKAGE * prior) / (sums.seen[column] + SHRINKAGE)
    return np.where((column >= 0) & (sums.donors[column] >= k), rate, prior)


def _rate_all(found: Recommender, others: np.ndarray) -> float:
    """The share of facts that other patients' replies take up, ``UNKNOWN`` with fewer than k of them."""
    seen, taken = (part[others].sum(1, keepdims=True) for part in (found.seen_by, found.taken_by))
    sums = _sum_capped(seen, taken, found.k)
    return float(sums.taken[0] / sums.seen[0]) if sums.donors[0] >= found.k else UNKNOWN


def _count_donors(seen_by: np.ndarray, taken_by: np.ndarray, key: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each fact the patients, and the mean of their mean uptakes, as they are shown."""
    share = np.divide(taken_by, seen_by, out=np.zeros_like(seen_by), where=seen_by > 0).sum(0)
    donors = np.append((seen_by > 0).sum(0), 0)[key]
    donors = np.where(donors >= k, donors, 0)
    mean = np.append(share, 0.0)[key] / np.maximum(1, donors)
    shown = np.array([round_count(int(count), k) for count in donors], dtype=int)
    return shown, np.where(donors > 0, np.round(np.round(mean / SHARE_STEP) * SHARE_STEP, 2), np.nan)
