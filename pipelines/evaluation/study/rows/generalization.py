"""Row 9: what was never seen in training. Something is left out, a refiner is trained without it, and meets it.

- ``left_out_topics_*``: the kinds of question in ``FOLDS`` folds, each met by a refiner trained on the others. A topic
  is the clinic's own name for it where one is known, else the nearest of the centres of the training questions.
- ``held_out_wordings_*``: questions in wordings that no training question had. ``hash_bag`` is the control that knows
  words alone.
- ``left_out_kinds_*``: a kind of segment that no training episode offered, offered again.

Test patients are nobody's training patients besides. One training seed; episodes of all folds (or kinds) together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from models.schema import Episode
from pipelines.embedding_cache import KeptEncoder
from pipelines.evaluation.nightly.intervals import bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison.bench import Bench, to_measured_episodes
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.evaluation.study.comparison.hash_bag import fit_hash_bag
from pipelines.evaluation.study.comparison.paired import compare_refined
from pipelines.features.trajectory import sequences
from pipelines.splits import TEST, shuffled
from pipelines.synthetic.portal import rules
from pipelines.training import gains as single
from pipelines.training.gains import Gains
from pipelines.training.provenance import slots

FOLDS = 4
HELD_OUT_SHARE = 0.25  # of wordings
FEWEST_GAINS = 4  # measured episodes, or there is nothing to learn from
LEFT_OUT_KINDS = ("change", "peer", "behaviour", "preference")  # never all of a record
KIND_STEPS = 4


def topics(bench: Bench) -> list[MetricRow]:
    """Rows over the folds of topics."""
    known = topics_of([*bench.train, *bench.test], bench.train, bench.encode)
    found: list[Rollout] = []
    for left_out in folds(known)[: 1 if bench.quick else FOLDS]:
        met = [e for e in bench.test if known[e.episode_id] in left_out]
        gains = [g for g in bench.measured if known[g.episode.episode_id] not in left_out]
        seen = [e for e in bench.train if known[e.episode_id] not in left_out]
        if met and len(gains) >= FEWEST_GAINS:
            gains = bench.labelled(gains, seen)
            trained = bench.trained(gains, seen, bench.steps)
            found += bench.measure(met, bench.rivals(trained.refined, gains) | {"warm_start": trained.warm_start})
    return compare_refined(found, 9, "left_out_topics_", TEST)


def topics_of(episodes: Sequence[Episode], train: Sequence[Episode], encode: KeptEncoder) -> dict[str, str]:
    """The topic of each episode by id: its own, or the nearest centre of the training questions."""
    if all(e.topic for e in train):
        return {e.episode_id: e.topic or "" for e in episodes}
    codes = sequences.assign_topics(
        [e.question for e in episodes], sequences.find_centres([e.question for e in train], encode), encode
    )
    return {e.episode_id: code or "" for e, code in zip(episodes, codes, strict=True)}


def folds(topic_of: Mapping[str, str], count: int = FOLDS) -> list[set[str]]:
    """Topics in folds of about equal numbers of episodes, most frequent topics first; at least two folds or none."""
    counted = sorted(Counter(topic_of.values()).items(), key=lambda pair: (-pair[1], pair[0]))
    if len(counted) < 2:
        return []
    made: list[set[str]] = [set() for _ in range(min(count, len(counted)))]
    sizes = [0] * len(made)
    for topic, episodes in counted:
        smallest = sizes.index(min(sizes))
        made[smallest].add(topic)
        sizes[smallest] += episodes
    return made


def wordings(bench: Bench) -> list[MetricRow]:
    """Rows over questions in wordings that the refiner's training questions never had."""
    known = {e.episode_id: wording(e.question) for e in (*bench.train, *bench.test)}
    held = held_out({known[e.episode_id] for e in bench.train}, [known[e.episode_id] for e in bench.test])
    gains = [g for g in bench.measured if known[g.episode.episode_id] not in held]
    met = [e for e in bench.test if known[e.episode_id] in held]
    if not met or len(gains) < FEWEST_GAINS:
        return []
    seen = [e for e in bench.train if known[e.episode_id] not in held]
    gains = bench.labelled(gains, seen)
    trained = bench.trained(gains, seen, bench.steps)
    rivals = bench.rivals(trained.refined, gains) | {"hash_bag": fit_hash_bag(to_measured_episodes(gains), bench.caps)}
    return compare_refined(bench.measure(met, rivals), 9, "held_out_wordings_", TEST)


def wording(question: str) -> str:
    """What a question's wording is known by: topic and family in a simulated clinic, else the words themselves."""
    plain = " ".join(question.lower().split())
    for text, family in _families():
        if plain.startswith(text):
            return family
    return plain


@cache
def _families() -> tuple[tuple[str, str], ...]:
    """Beginnings of the simulator's questions with the family each belongs to, longest first."""
    known = [
        (" ".join(text.lower().split()), f"{topic.topic}/{family}")
        for topic in rules.load_topics()
        for family, texts in topic.wordings.items()
        for text in texts
    ]
    return tuple(sorted(known, key=lambda pair: (-len(pair[0]), pair)))


def held_out(trained_on: set[str], met: Sequence[str]) -> set[str]:
    """Wordings to leave out: those that training never had and, where they are too few, others by a hash."""
    held = {w for w in met if w not in trained_on}
    wanted = HELD_OUT_SHARE * len(met)
    for candidate in sorted(set(met) - held, key=shuffled):
        if sum(w in held for w in met) >= wanted:
            break
        held.add(candidate)
    return held


def kinds(bench: Bench) -> list[MetricRow]:
    """Rows over kinds of segment, each left out of training once, and the share of picks that are of that kind."""
    present = [kind for kind in LEFT_OUT_KINDS if any(s.kind == kind for e in bench.test for s in e.free)]
    everything: list[Rollout] = []
    out: list[MetricRow] = []
    for kind in present[: 1 if bench.quick else None]:
        met = [e for e in bench.test if any(s.kind == kind for s in e.free)]
        gains = [g for g in (masked(bench, g, kind) for g in bench.measured) if g is not None]
        if len(gains) < FEWEST_GAINS:
            continue
        seen = [without(e, kind) for e in bench.train]
        gains = bench.labelled(gains, seen)
        trained = bench.trained(gains, seen, 0 if bench.quick else min(KIND_STEPS, bench.steps))
        found = bench.measure(met, bench.rivals(trained.refined, gains))
        out += compare_refined(found, 9, f"left_out_kind_{kind}_", TEST)
        out.append(_picked(found, kind))
        everything += found
    return [*compare_refined(everything, 9, "left_out_kinds_", TEST), *out]


def without(episode: Episode, kind: str) -> Episode:
    """The episode as if no segment of this kind had been offered."""
    kept = tuple(s for s in episode.segments if s.pinned or s.kind != kind)
    return replace(episode, segments=kept)


def masked(bench: Bench, gains: Gains, kind: str) -> Gains | None:
    """The gains without the kind: the same prompts, so the cache has their scores; None if no segment is left."""
    episode = without(gains.episode, kind)
    return single.measure(bench.reward, episode, slots(bench.params)) if episode.free else None


def _picked(measured: Sequence[Rollout], kind: str) -> MetricRow:
    """How much of what is chosen is of the kind that training never offered."""
    kinds_of = [{s.key: s.kind for s in m.episode.free} for m in measured]
    shares = [
        (sum(kind_of[k] == kind for k in picks) / len(picks), m.episode.subject_id)
        for m, kind_of in zip(measured, kinds_of, strict=True)
        if (picks := m.programs[REFINED].picks)
    ]
    e = bootstrap_mean([s for s, _ in shares], [s for _, s in shares])
    return MetricRow.of(9, f"left_out_kind_{kind}_share_of_picks", TEST, e)
