"""Build the candidate segments: every sentence that a patient's features support.

    S(x_t, N_k) = S_0 ∪ {free},   S_0 = {safety, pregnancy, allergies} pinned

1. The paper's initial prompts are built from self- and peer-informed signals whose form is not known. Ours are typed
   one-line sentences, so that the refiner can only choose among statements the record supports.
2. Absence is stated too ("No current asthma on record"), so that a sentence's presence alone does not reveal its
   relevance.
3. Everything that depends on the clock (days ago, age, gestational week) is computed here from the row and ``as_of``,
   by the same code in training and serving.

Run: ``pmlm ask``, ``pmlm refine``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import chain

from models.patient.currency import DEFAULT_RULE, CurrencyRule
from models.peers.outcome_estimates import NO_FINDINGS, Findings
from models.prompt.sentences.behaviour import build_behaviour_segments
from models.prompt.sentences.peers import build_peer_segments
from models.prompt.sentences.pinned import build_pinned_segments
from models.prompt.sentences.prediction import build_prediction_segments
from models.prompt.sentences.problems import build_problem_segments
from models.prompt.sentences.signals import build_signal_segments
from models.schema import FeatureRow, Segment

FREE_LIMIT = 48
#: Free candidates dropped first beyond FREE_LIMIT: those least about the patient.
_DROP_ORDER = ("condition.code:", "peer.", "medicine.code:", "no.")


def build_candidates(
    row: FeatureRow,
    as_of: datetime,
    count: Callable[[str], int],
    language: str = "en",
    rule: CurrencyRule = DEFAULT_RULE,
    findings: Findings = NO_FINDINGS,
) -> tuple[Segment, ...]:
    """Pinned segments, then at most ``FREE_LIMIT`` free ones, keys unique; ``count`` gives a text's tokens.

    ``rule`` says which medicines and conditions are stated as current, and which as history, ``findings`` which
    outcomes of peers are worth a sentence: none by default. ``row`` may be empty (nothing known): the pinned segments
    then say so, and one free one names what is missing.
    """
    segments = chain(
        build_pinned_segments(row, as_of, language),
        build_behaviour_segments(row, as_of, language),
        build_signal_segments(row, as_of, language),
        build_problem_segments(row, as_of, language, rule),
        build_peer_segments(row, as_of, language, findings),
        build_prediction_segments(row, as_of, language, rule),
    )
    unique: dict[str, Segment] = {}
    for segment in segments:
        unique.setdefault(segment.key, segment)
    limited = _limit_free(tuple(unique.values()))
    return tuple(replace(s, tokens=count(s.text)) for s in limited)


def _limit_free(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Drop segments by ``_DROP_ORDER`` until at most ``FREE_LIMIT`` free ones are left."""
    excess = sum(not s.pinned for s in segments) - FREE_LIMIT
    dropped: set[str] = set()
    for prefix in _DROP_ORDER:
        for segment in reversed(segments):
            if len(dropped) < excess and segment.key.startswith(prefix):
                dropped.add(segment.key)
    return tuple(s for s in segments if s.key not in dropped)
