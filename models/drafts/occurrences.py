"""The sentences of training replies, with what each was written for.

The alignment (``models.replies.alignment``) gives the probability that a sentence rests on each fact of the record; one
that is not patient-specific is taken to rest on none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.drafts import wordings
from models.replies.alignment import ReplyAlignment
from models.reward.terms import strip_salutation
from models.schema import Episode

FEWEST_WORDS = 3

#: Of each episode, of each of its specific sentences: segment key → p(key | sentence).
Links = Sequence[Sequence[Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One sentence of one reply."""

    episode: int
    subject: int
    text: str
    masked: str
    links: Mapping[str, float]
    specific: bool
    place: float
    number: int


def read_links(alignment: ReplyAlignment) -> Links:
    """Read the alignment's posterior of each specific sentence, by segment key."""
    return [
        [
            dict(zip(reply.keys, map(float, row[:-1]), strict=True))
            for row, specific in zip(np.round(reply.posterior, 6), reply.episode.specific, strict=True)
            if specific
        ]
        for reply in alignment.replies
    ]


def list_occurrences(place: int, episode: Episode, links: Sequence[Mapping[str, float]]) -> list[Occurrence]:
    """List the readable sentences of the ``place``-th episode, without salutations; a named person makes none."""
    found, of_specific = [], iter(links)
    last = max(1, len(episode.reply) - 1)
    for number, (sentence, specific) in enumerate(zip(episode.reply, episode.specific, strict=True)):
        own = next(of_specific, {}) if specific else {}
        if wordings.names_somebody(sentence):
            continue
        text = strip_salutation(sentence)
        if len(wordings.split_words(text)) < FEWEST_WORDS or wordings.BLANK in text:
            continue
        text = f"{text[0].upper()}{text[1:]}{sentence.rstrip()[-1] if sentence.rstrip()[-1] in '.!?' else '.'}"
        masked = wordings.mask_numbers(text)
        found.append(Occurrence(place, episode.subject_id, text, masked, own, specific, number / last, number))
    return found


def choose_one_a_patient(found: Sequence[Occurrence]) -> list[Occurrence]:
    """The latest occurrence of each patient: a patient counts once, however often it was written to them."""
    return [occurrence for _, occurrence in sorted({o.subject: o for o in found}.items())]


def order_wordings(found: Sequence[Occurrence]) -> list[str]:
    """The wordings of a cluster by the number of patients who received them."""
    patients: dict[str, set[int]] = defaultdict(set)
    for one in found:
        patients[one.masked].add(one.subject)
    return sorted(patients, key=lambda masked: (-len(patients[masked]), masked))
