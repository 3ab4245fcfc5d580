"""Row 9: generalization. A refiner is trained without something and tested on it.

- ``left_out_topics_*``: topics of questions in ``FOLDS`` folds, each tested by a refiner trained on the others. A topic
  is the clinic's own name where known, else the nearest of the centres of the training questions.
- ``held_out_wordings_*``: questions in wordings that no training question had. ``hash_bag`` is the control that knows
  words alone.
- ``left_out_kinds_*``: a kind of segment that no training episode offered.

Test patients are never training patients. One training seed; episodes of all folds (or kinds) are pooled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from models.schema import Episode
from pipelines.evaluation.nightly.intervals import bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.evaluation.study.comparison.hash_bag import fit_hash_bag
from pipelines.evaluation.study.comparison.paired import compare_refined
from pipelines.evaluation.study.comparison.topics import assign_topics
from pipelines.splits import TEST, hash_order
from pipelines.synthetic.portal import rules
from pipelines.training import gains as single
from pipelines.training.gains import EpisodeGains
from pipelines.training.methods import to_measured_episodes

FOLDS = 4
LEFT_OUT_SHARE = 0.25  # of wordings
FEWEST_GAINS = 4  # measured episodes, or there is nothing to learn from
LEFT_OUT_KINDS = ("change", "peer", "behaviour", "preference")  # never all of a record
KIND_STEPS = 4


def build_topic_rows(bench: Bench) -> list[MetricRow]:
    """Build the rows over the folds of topics."""
    known = assign_topics([*bench.train, *bench.test], bench.train, bench.encode)
    found: list[Rollout] = []
    for left_out in split_folds(known)[: 1 if bench.quick else FOLDS]:
        unseen = [e for e in bench.test if known[e.episode_id] in left_out]
        gains = [g for g in bench.gains if known[g.episode.episode_id] not in left_out]
        seen = [e for e in bench.train if known[e.episode_id] not in left_out]
        if unseen and len(gains) >= FEWEST_GAINS:
            gains = bench.label(gains, seen)
            trained = bench.train_refiner(gains, seen, bench.steps)
            rivals = bench.build_rivals(trained.refined, gains) | {"warm_start": trained.warm_start}
            found += bench.roll_out(unseen, rivals)
    return compare_refined(found, 9, "left_out_topics_", TEST)


def split_folds(topic_of: Mapping[str, str], count: int = FOLDS) -> list[set[str]]:
    """Split topics into folds with about equal numbers of episodes; none for one topic."""
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


def build_wording_rows(bench: Bench) -> list[MetricRow]:
    """Build the rows over questions in wordings that no training question had."""
    known = {e.episode_id: identify_wording(e.question) for e in (*bench.train, *bench.test)}
    left_out = choose_left_out({known[e.episode_id] for e in bench.train}, [known[e.episode_id] for e in bench.test])
    gains = [g for g in bench.gains if known[g.episode.episode_id] not in left_out]
    unseen = [e for e in bench.test if known[e.episode_id] in left_out]
    if not unseen or len(gains) < FEWEST_GAINS:
        return []
    seen = [e for e in bench.train if known[e.episode_id] not in left_out]
    gains = bench.label(gains, seen)
    trained = bench.train_refiner(gains, seen, bench.steps)
    rivals = bench.build_rivals(trained.refined, gains) | {
        "hash_bag": fit_hash_bag(to_measured_episodes(gains), bench.caps)
    }
    return compare_refined(bench.roll_out(unseen, rivals), 9, "held_out_wordings_", TEST)


def identify_wording(question: str) -> str:
    """Identify a wording: topic and family in a simulated clinic, else the words themselves."""
    plain = " ".join(question.lower().split())
    for text, family in _wording_families():
        if plain.startswith(text):
            return family
    return plain


@cache
def _wording_families() -> tuple[tuple[str, str], ...]:
    """Prefixes of the simulator's questions with the family of each, longest first."""
    known = [
        (" ".join(text.lower().split()), f"{topic.topic}/{family}")
        for topic in rules.load_topics()
        for family, texts in topic.wordings.items()
        for text in texts
    ]
    return tuple(sorted(known, key=lambda pair: (-len(pair[0]), pair)))


def choose_left_out(trained_on: set[str], tested: Sequence[str]) -> set[str]:
    """Choose the wordings to leave out: untrained ones, and others by hash if too few."""
    left_out = {w for w in tested if w not in trained_on}
    wanted = LEFT_OUT_SHARE * len(tested)
    for candidate in sorted(set(tested) - left_out, key=hash_order):
        if sum(w in left_out for w in tested) >= wanted:
            break
        left_out.add(candidate)
    return left_out


def build_kind_rows(bench: Bench) -> list[MetricRow]:
    """Build rows over kinds of segment, each left out once, and shares of picks."""
    present = [kind for kind in LEFT_OUT_KINDS if any(s.kind == kind for e in bench.test for s in e.free)]
    everything: list[Rollout] = []
    out: list[MetricRow] = []
    for kind in present[: 1 if bench.quick else None]:
        unseen = [e for e in bench.test if any(s.kind == kind for s in e.free)]
        gains = [g for g in (mask_gains(bench, g, kind) for g in bench.gains) if g is not None]
        if len(gains) < FEWEST_GAINS:
            continue
        seen = [remove_kind(e, kind) for e in bench.train]
        gains = bench.label(gains, seen)
        trained = bench.train_refiner(gains, seen, 0 if bench.quick else min(KIND_STEPS, bench.steps))
        found = bench.roll_out(unseen, bench.build_rivals(trained.refined, gains))
        out += compare_refined(found, 9, f"left_out_kind_{kind}_", TEST)
        out.append(_pick_share_row(found, kind))
        everything += found
    return [*compare_refined(everything, 9, "left_out_kinds_", TEST), *out]


def remove_kind(episode: Episode, kind: str) -> Episode:
    """Remove the free segments of this kind from an episode."""
    return replace(episode, segments=tuple(s for s in episode.segments if s.pinned or s.kind != kind))


def mask_gains(bench: Bench, gains: EpisodeGains, kind: str) -> EpisodeGains | None:
    """Measure the gains without the kind, from cached scores; None if no segment is left."""
    episode = remove_kind(gains.episode, kind)
    return single.measure_gains(bench.reward, episode, bench.params.slots) if episode.free else None


def _pick_share_row(measured: Sequence[Rollout], kind: str) -> MetricRow:
    """The share of picks that are of the kind that training never offered."""
    kinds_of = [{s.key: s.kind for s in m.episode.free} for m in measured]
    shares = [
        (sum(kind_of[k] == kind for k in picks) / len(picks), m.episode.subject_id)
        for m, kind_of in zip(measured, kinds_of, strict=True)
        if (picks := m.programs[REFINED].picks)
    ]
    e = bootstrap_mean([s for s, _ in shares], [s for _, s in shares])
    return MetricRow.of(9, f"left_out_kind_{kind}_share_of_picks", TEST, e)
