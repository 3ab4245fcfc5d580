"""Partition patients by cohort, so that a cluster never compares all pairs.

    block c at moments M  =  every state of every patient who belongs to cohort c at some T in M

A patient's peers at T are of the patient's own cohort at T, and every member of that cohort at T is in its block with
all states. So ``search.search_peers`` over a block gives its patients the same peers as over everybody. The dead are a
block of their own (``NO_COHORT``): they have a state, but no peers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.peers.patient_embedding import States, assign_cohorts

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
    subjects = np.unique(states.subject)
    found: dict[int, set[int]] = {}
    for moment in np.unique(moments):
        at = np.full(len(subjects), moment)
        known = _find_newest_states(states, subjects, at) >= 0
        cohort = find_cohorts(states, subjects.tolist(), at)
        for c in np.unique(cohort[known]):
            found.setdefault(int(c), set()).update(subjects[known & (cohort == c)].tolist())
    return {c: np.array(sorted(who), dtype=np.int64) for c, who in sorted(found.items())}


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
