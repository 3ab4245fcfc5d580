"""Partition patients by cohort and birth, so that a cluster never compares all pairs.

    block c at moments M     =  every state of every patient who belongs to cohort c at some T in M
    block c, s at moments M  =  the same of those born in stripe s

A patient's peers at T are of the patient's own cohort at T, and every member of that cohort at T is in its block with
all states. So ``search.search_peers`` over a block gives its patients the same peers as over everybody, and what
``birth_stripes`` finds in a cohort's stripes is together the same again. The dead are a block of their own
(``NO_COHORT``) without stripes: they have a state, but no peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.peers.birth_stripes import find_stripes
from models.peers.patient_embedding import Floats, States, assign_cohorts

NO_COHORT = -1  # of the dead, and of patients unknown as of the moment
_FIRST = -(1 << 33)  # seconds: before every moment that a record can name
_SPAN = 1 << 35  # seconds per patient on one number line

Ints = NDArray[np.int64]


def find_cohorts(states: States, subjects: Sequence[int], moments: Ints) -> Ints:
    """Find the cohort of each ``(subject, moment)``, or ``NO_COHORT``."""
    row = _find_newest_states(states, np.asarray(subjects, dtype=np.int64), moments)
    found = np.full(len(row), NO_COHORT)
    for moment in np.unique(moments):
        here = np.flatnonzero((moments == moment) & (row >= 0))
        alive = here[~(states.died[row[here]] <= moment)]
        found[alive] = assign_cohorts(states, row[alive], int(moment))
    return found


def list_members(states: States, moments: Ints) -> dict[int, Ints]:
    """List the patients of each cohort, and of ``NO_COHORT``, at any of the moments."""
    return _group_members((subject, cohort) for subject, cohort, _ in _list_placed(states, moments))


def list_stripes(states: States, moments: Ints) -> dict[tuple[int, int], Ints]:
    """List the patients of known age of each cohort and stripe of births at any of the moments."""
    return _group_members(_pair_with_stripe(states, moments))


def _pair_with_stripe(states: States, moments: Ints) -> Iterator[tuple[Ints, Ints]]:
    for subject, cohort, birth in _list_placed(states, moments):
        there = (cohort != NO_COHORT) & ~np.isnan(birth)
        yield subject[there], np.column_stack([cohort[there], find_stripes(birth[there])])


def _list_placed(states: States, moments: Ints) -> Iterator[tuple[Ints, Ints, Floats]]:
    """At each moment, every known patient with cohort and birth."""
    subjects = np.unique(states.subject)
    for moment in np.unique(moments):
        at = np.full(len(subjects), moment)
        row = _find_newest_states(states, subjects, at)
        known = row >= 0
        yield subjects[known], find_cohorts(states, subjects.tolist(), at)[known], states.birth[row[known]]


def _group_members(placed: Iterable[tuple[Ints, Ints]]) -> dict[Any, Ints]:
    """Group patients by block, a number or a row of them."""
    found: dict[Any, set[int]] = {}
    for subject, block in placed:
        unique, which = np.unique(block, axis=0, return_inverse=True)
        for number, name in enumerate(unique.tolist()):
            key = tuple(name) if isinstance(name, list) else name
            found.setdefault(key, set()).update(subject[which.ravel() == number].tolist())
    return {block: np.array(sorted(who), dtype=np.int64) for block, who in sorted(found.items())}


def _find_newest_states(states: States, subjects: Ints, moments: Ints) -> Ints:
    """Find the row of each patient's newest state by a moment; -1 for none.

    ``states`` is in order of patient and time; of several states at one moment the last row counts, as in ``search``.
    """
    donors = np.unique(states.subject)
    if not len(donors):
        return np.full(len(subjects), -1)
    line = np.searchsorted(donors, states.subject) * _SPAN + (states.at - _FIRST)
    place = np.minimum(np.searchsorted(donors, subjects), len(donors) - 1)
    row = np.searchsorted(line, place * _SPAN + (moments - _FIRST), side="right") - 1
    own = (row >= 0) & (states.subject[row] == subjects)
    return np.where(own, row, -1)
