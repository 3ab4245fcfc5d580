"""Teach a policy what guidance names, where a clinic has few replies to read.

    p̂_i = E(present) or E(absent) of a segment that the concern names, no label for any other        (``EXPECTED``)
    n(c) = max(0, ``ENOUGH`` − training replies to questions of concern c)        guided examples

A guided example asks a question of the concern's row of a training patient of whom something is known that the row
names. It stands for a reply that was never written, so a concern with ``ENOUGH`` real ones has none: the clinic's own
practice takes the place of guidance as it becomes known. Records are taken so that each finding comes in turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from models.refiner.featurizer import Featurizer
from models.refiner.interface import STYLES
from models.refiner.warm_start import WarmStartExample
from models.relevance.concerns import EXPECTED, find_finding, load_concerns, mark_findings, match_concerns
from models.schema import Episode

ENOUGH = 24  # replies
MATCHED = 0.95  # least match of a question that is of a concern


def build_guided_examples(episodes: Sequence[Episode], featurizer: Featurizer, slots: int) -> list[WarmStartExample]:
    """Build guided examples on training ``episodes``; ``featurizer`` collects their rows. They teach no style."""
    matches = np.array([match_concerns(e.question, featurizer.encoder) for e in episodes])
    examples: list[WarmStartExample] = []
    for number, concern in enumerate(load_concerns()):
        known = int((matches[:, number] >= MATCHED).sum()) if len(episodes) else 0
        chosen = choose_records(episodes, number, slots)[: max(0, ENOUGH - known)]
        for place, episode in enumerate(chosen):
            segments = episode.segments[:slots]
            marks = mark_findings([s.key for s in segments])[:, number]
            named = marks.any(1) & ~np.array([s.pinned for s in segments])
            labels = np.where(named, marks @ np.array(EXPECTED), np.nan)
            question = featurizer.add_question(concern.wordings[place % len(concern.wordings)])
            rows = tuple(featurizer.add_segments(segments))
            examples.append(WarmStartExample(question, rows, labels, np.zeros(len(STYLES)), labels))
    return examples


def choose_records(episodes: Sequence[Episode], number: int, slots: int) -> list[Episode]:
    """Order the latest episode of each patient so that each finding of a concern is stated as present in turn."""
    latest = {e.subject_id: e for e in sorted(episodes, key=lambda e: (e.as_of, e.episode_id))}
    stating: defaultdict[str, list[Episode]] = defaultdict(list)
    for _, episode in sorted(latest.items()):
        free = [s.key for s in episode.segments[:slots] if not s.pinned]
        for key, mark in zip(free, mark_findings(free)[:, number], strict=True):
            if mark[0]:
                stating[find_finding(key)].append(episode)
    turns = zip_longest(*(stating[finding] for finding in sorted(stating)))
    return list({e.episode_id: e for turn in turns for e in turn if e is not None}.values())
