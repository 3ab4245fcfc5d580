"""Learn the catalogue of sentences from training replies.

    sentences → clusters (``wordings``) → those of ≥ k patients, bound to facts by the alignment → conditions → rates

    facts(c)  = keys k with mean p(k | y) ≥ .25 over the cluster's sentences y
    r(c, κ)   = (Σ_{e ∈ κ, c fits e} 1[c ∈ y_e] + a r(c)) / (#{e ∈ κ, c fits e} + a)       κ: kind of question, a = 2

1. The paper has no drafts. p(k | y) is the alignment that also labels facts for training: which fact of the record a
   sentence was written for, learnt from the replies alone.
2. A cluster was written to k patients or more, and so was each word of the wording that is shown for it.
3. A cluster with a number that cannot be traced (``number_slots``) is not offered.

Run: ``pmlm stage drafts``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from models.drafts import wordings
from models.drafts.catalogue import CataloguedSentence, DraftCatalogue, Judgement, Slot, order_sentences
from models.drafts.fact_conditions import (
    FactCondition,
    PregnancyCondition,
    learn_condition,
    learn_pregnancy,
    share_content,
)
from models.drafts.fitting import PREGNANCY, find_facts, list_facts
from models.drafts.number_slots import find_slot
from models.drafts.occurrences import Links, Occurrence, choose_one_a_patient, list_occurrences, order_wordings
from models.drafts.question_kinds import find_kinds
from models.encoder import Encoder
from models.peers.aggregates import round_count
from models.schema import Episode

FEWEST_LINK = 0.25
#: Share of the cluster's sentences on whose record a fact must be to be the cluster's.
MOST_DONORS = 0.9
#: A fact that all donors have is required if that is no chance: its share among the others, to the number of donors.
CHANCE = 0.01
UNIVERSAL = 0.99
NEAR_FACT = 0.45
PRIOR_WEIGHT = 2.0
#: Two sentences are alternatives where they never stand together though this many times would be expected.
EXPECTED_TOGETHER = 3.0
#: Share of a sentence's occurrences that stand behind one on the same fact, from which on it goes on from that one.
CONTINUES = 0.8


@dataclass(frozen=True, slots=True)
class CatalogueCounts:
    """What became of the clusters: all, of ≥ k patients, of which were bound to a fact or general, and offered."""

    clusters: int
    anonymous: int
    bound: int
    offered: int


def learn_catalogue(
    episodes: Sequence[Episode],
    links: Links,
    encoder: Encoder,
    k: int,
    is_clean: Callable[[str], bool] = lambda _: True,
    judgements: Mapping[str, Judgement] | None = None,
) -> tuple[DraftCatalogue, CatalogueCounts]:
    """Learn the catalogue; ``is_clean`` says of a sentence that it has no identifier."""
    occurrences = [
        one
        for place, episode in enumerate(episodes)
        for one in list_occurrences(place, episode, links[place])
        if is_clean(one.text)
    ]
    clusters = wordings.WordingClusters(encoder)
    members: dict[int, list[Occurrence]] = defaultdict(list)
    for one, cluster in zip(occurrences, clusters.fit([o.masked for o in occurrences]), strict=True):
        members[cluster].append(one)
    learner = _Learner(episodes, occurrences, encoder, k, judgements or {})
    anonymous = {c: found for c, found in members.items() if len({o.subject for o in found}) >= k}
    learnt = {c: sentence for c, found in sorted(anonymous.items()) if (sentence := learner.learn(found)) is not None}
    sentences = learner.rate(learnt, {c: anonymous[c] for c in learnt})
    catalogue = DraftCatalogue(
        sentences=order_sentences(sentences),
        kinds=tuple(tuple(np.round(kind, 5).tolist()) for kind in learner.kinds),
        lengths=learner.measure_lengths(episodes),
        k=k,
    )
    return catalogue, CatalogueCounts(len(members), len(anonymous), learner.bound, len(sentences))


class _Learner:
    """Learns sentences one by one, from what is the same for all of them."""

    def __init__(
        self, episodes: Sequence[Episode], occurrences: Sequence[Occurrence], encoder: Encoder, k: int,
        judgements: Mapping[str, Judgement],
    ) -> None:  # fmt: skip
        self.k = k
        self.bound = 0
        self._encoder = encoder
        self._judgements = judgements
        self._facts = [list_facts(e.segments) for e in episodes]
        self._subjects = [e.subject_id for e in episodes]
        self.kinds, self._kind_of = find_kinds(episodes, encoder, k)
        counts = Counter(key for facts in self._facts for key in facts)
        self._share = {key: n / max(1, len(episodes)) for key, n in counts.items()}
        by_sentence: dict[str, set[int]] = defaultdict(set)
        for one in occurrences:
            by_sentence[one.masked].add(one.subject)
        self._first_link = {
            (o.episode, o.number): max(sorted(o.links), key=lambda key: o.links[key])
            for o in occurrences
            if max(o.links.values(), default=0.0) >= FEWEST_LINK
        }
        self._readers = wordings.count_words_by_patient(by_sentence)

    def learn(self, found: Sequence[Occurrence]) -> CataloguedSentence | None:
        """Learn one cluster's sentence, without its rates; None where it may not be offered."""
        general = sum(o.specific for o in found) * 2 < len(found)
        keys = [] if general else self._find_linked_keys(found)
        if not general and not keys:
            return None
        self.bound += 1
        donors = choose_one_a_patient(found)
        for wording, slots in self._list_wordings(found, keys):
            named = [wordings.name_wording(w) for w in order_wordings(found)]
            own = wordings.name_wording(wording)
            return CataloguedSentence(
                text=wording,
                slots=slots,
                wordings=(own, *(name for name in named if name != own)),
                donors=round_count(len(donors), self.k),
                conditions=self._learn_conditions(wording, donors, keys),
                pregnancy=self._learn_pregnancy(donors),
                known_keys=self._find_known_keys(donors),
                rates=(),
                general=general,
                place=round(float(np.mean([o.place for o in found])), 4),
                factor=round(self._sum_judgements(named).factor, 6),
            )
        return None

    def measure_lengths(self, episodes: Sequence[Episode]) -> tuple[float, ...]:
        """Measure how many specific sentences a reply to each kind of question has on average."""
        lengths: dict[int, list[int]] = defaultdict(list)
        for kind, episode in zip(self._kind_of, episodes, strict=True):
            lengths[kind].append(sum(episode.specific))
        return tuple(round(float(np.mean(lengths[kind] or [0])), 4) for kind in range(len(self.kinds)))

    def _sum_judgements(self, names: Sequence[str]) -> Judgement:
        found = [self._judgements[name] for name in names if name in self._judgements]
        return Judgement(*(sum(getattr(one, name) for one in found) for name in ("accepted", "edited", "rejected")))

    def _find_linked_keys(self, found: Sequence[Occurrence]) -> list[str]:
        """The facts that the cluster's sentences were written for, strongest first."""
        mass: Counter[str] = Counter()
        for one in found:
            mass.update(one.links)
        keys = []
        for key, total in sorted(mass.items(), key=lambda pair: (-pair[1], pair[0])):
            having = sum(key in self._facts[o.episode] for o in found)
            if total / len(found) >= FEWEST_LINK and having >= MOST_DONORS * len(found):
                keys.append(key)
        return keys

    def _list_wordings(self, found: Sequence[Occurrence], keys: Sequence[str]) -> list[tuple[str, tuple[Slot, ...]]]:
        """The wordings that may be shown with the source of each number, the commonest first."""
        out = []
        for masked in order_wordings(found):
            if any(len(self._readers[word]) < self.k for word in wordings.split_words(masked)):
                continue
            own = [o for o in found if o.masked == masked]
            sources = list(dict.fromkeys((*keys, PREGNANCY)))
            slots = [
                find_slot(blank, own, self._facts, sources, self.k) for blank in range(masked.count(wordings.BLANK))
            ]
            if None not in slots:
                out.append((masked, tuple(slot for slot in slots if slot is not None)))
        return out

    def _learn_conditions(
        self, wording: str, donors: Sequence[Occurrence], keys: Sequence[str]
    ) -> tuple[FactCondition, ...]:
        """Conditions of the linked facts, of the pregnancy, and of what else all donors had."""
        required = [key for key in self._find_required_keys(wording, donors, keys) if key not in keys]
        stated = [key for key in required if self._is_near(wording, donors, key)]
        conditions = []
        for key in (*keys, *required):
            facts = [self._facts[o.episode][key] for o in donors if key in self._facts[o.episode]]
            conditions.append(learn_condition(key, wording, facts, key in keys or key in stated))
        return tuple(conditions)

    def _learn_pregnancy(self, donors: Sequence[Occurrence]) -> PregnancyCondition | None:
        found = [self._facts[o.episode][PREGNANCY] for o in donors if PREGNANCY in self._facts[o.episode]]
        return learn_pregnancy(found) if found else None

    def _find_required_keys(self, wording: str, donors: Sequence[Occurrence], keys: Sequence[str]) -> list[str]:
        """The facts that every donor had by more than chance, and those of nearly all that the sentence speaks of."""
        had = Counter(key for o in donors for key in self._facts[o.episode])
        kinds = {self._kind_of[o.episode] for o in donors}
        receivers = {o.episode for o in donors}
        others = [
            facts
            for place, facts in enumerate(self._facts)
            if self._kind_of[place] in kinds and place not in receivers and all(key in facts for key in keys)
        ]
        required = []
        for key in sorted(key for key, n in had.items() if n >= MOST_DONORS * len(donors)):
            share = (sum(key in facts for facts in others) + 1) / (len(others) + 2)
            by_chance = had[key] < len(donors) or share ** len(donors) >= CHANCE
            near = self._share[key] < UNIVERSAL and self._is_near(wording, donors, key)
            if key != PREGNANCY and (near or not by_chance):
                required.append(key)
        return required

    def _is_near(self, wording: str, donors: Sequence[Occurrence], key: str) -> bool:
        """Whether the sentence speaks of the donors' fact."""
        text = next(self._facts[o.episode][key].text for o in donors if key in self._facts[o.episode])
        if share_content(wording, text):
            return True
        first, second = self._encoder.encode([wording, wordings.mask_numbers(text)])
        return bool(round(float(first @ second), 5) >= NEAR_FACT)

    def _find_known_keys(self, donors: Sequence[Occurrence]) -> frozenset[str]:
        counts = Counter(key for o in donors for key in self._facts[o.episode])
        return frozenset(key for key, n in counts.items() if n > 1)

    def rate(
        self, learnt: Mapping[int, CataloguedSentence], found: Mapping[int, Sequence[Occurrence]]
    ) -> list[CataloguedSentence]:
        """The sentences with their rates, and with those that are never written beside them."""
        received = {c: {o.episode for o in found[c]} for c in learnt}
        at = {(o.episode, o.number): c for c in learnt for o in found[c]}
        rated = []
        for cluster, sentence in learnt.items():
            leads = self._find_leads(sentence, found[cluster], at)
            if leads == set():
                continue  # it goes on from a sentence that may not be offered
            fits = [place for place, facts in enumerate(self._facts) if find_facts(sentence, facts) is not None]
            apart = [
                learnt[other].id
                for other in learnt
                if other != cluster and self._are_alternatives(received[cluster], received[other])
            ]
            after = {learnt[lead].id for lead in leads or ()}
            rates = self._rate_by_kind(fits, received[cluster])
            rated.append(replace(sentence, rates=rates, apart=tuple(sorted(apart)), after=tuple(sorted(after))))
        return rated

    def _find_leads(
        self, sentence: CataloguedSentence, found: Sequence[Occurrence], at: Mapping[tuple[int, int], int]
    ) -> set[int] | None:
        """The clusters that a sentence goes on from; None where it stands alone.

        It goes on where the sentence just before it nearly always rests on the same fact.
        """
        if sentence.general:
            return None
        fact = sentence.conditions[0].key
        before = [(o.episode, o.number - 1) for o in found]
        same = [place for place in before if self._first_link.get(place) == fact]
        if len(same) < CONTINUES * len(before):
            return None
        own = at.get((found[0].episode, found[0].number))
        return {at[place] for place in same if place in at} - {own if own is not None else -1}

    def _rate_by_kind(self, fits: Sequence[int], received: set[int]) -> tuple[float, ...]:
        """The share that received it, by kind of question, of those whose record it fits."""
        kinds = np.array([self._kind_of[place] for place in fits], dtype=np.int64)
        written = np.array([place in received for place in fits], dtype=np.float64)
        prior = written.sum() / max(1.0, float(len(fits))) / max(1, len(self.kinds))
        of_kind = partial(np.bincount, minlength=len(self.kinds))
        rates = (of_kind(kinds, written) + PRIOR_WEIGHT * prior) / (of_kind(kinds) + PRIOR_WEIGHT)
        return tuple(np.round(rates, 6).tolist())

    def _are_alternatives(self, one: set[int], other: set[int]) -> bool:
        if one & other:
            return False
        sizes = Counter(self._kind_of)
        ours, theirs = (Counter(self._kind_of[place] for place in places) for places in (one, other))
        return sum(ours[kind] * theirs[kind] / sizes[kind] for kind in ours) >= EXPECTED_TOGETHER
