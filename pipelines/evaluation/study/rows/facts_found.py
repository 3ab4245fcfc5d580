"""Row 6 without a language model: which facts behind a reply a prompt has.

F1 needs no score, so these rows cost minutes where log p costs hours, and all held-out episodes count.

- ``X_f1`` of every candidate with the free facts behind the reply, ``X_f1_vs_Y`` their difference, at equal caps.
- ``topic_episodes_N_X_f1``: by how many training episodes the question's topic has.
- ``recall_of_KIND`` is the share of the facts behind replies that were chosen, ``wrong_picks_of_KIND`` how many others
  a prompt has. Kinds are read from the facts' keys (``comparison.fact_kinds``).
- ``refined_f1_of_spoken_facts`` leaves out facts that no sentence of the reply reveals, ``recall_of_unspoken_facts`` is
  the share of these that were chosen: no reader of replies can learn them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from models.refiner.interface import Refiner
from models.schema import Episode
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import F1, MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison import seeds
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.evaluation.study.comparison.fact_kinds import KINDS, read_fact_kind
from pipelines.evaluation.study.comparison.topics import BINS

COMPARED = (REFINED, "ranking", "minilm")
RANKING_F1 = 0.35
#: Targets of a candidate's F1.
TARGETS = {REFINED: F1, "ranking": RANKING_F1}
#: Differences in F1 at equal caps.
PAIRS = (("ranking", "minilm"), (REFINED, "ranking"), (REFINED, "minilm"), (REFINED, "random"))


def build_rows(
    episodes: Sequence[Episode],
    candidates: Mapping[str, Refiner],
    others: Sequence[Callable[[], Mapping[str, Refiner]]],
    split: str,
    bin_of: Mapping[str, str],
    unspoken: Mapping[str, frozenset[str]],
) -> list[MetricRow]:
    """Build all rows over the night's seed and ``others``; ``bin_of`` and ``unspoken`` are by episode id."""
    first = choose_segments(episodes, candidates)
    by_seed = [first, *(seeds.merge_seed(first, choose_segments(episodes, other())) for other in others)]
    pooled = [rollout for one in by_seed for rollout in one]
    rows = [
        *_compare_f1(pooled, list(candidates), split),
        *_topic_rows(pooled, split, bin_of),
        *_kind_rows(pooled, split),
        *_spoken_rows(pooled, split, unspoken),
    ]
    own = [{row.name: row for row in _compare_f1(one, [REFINED], split)} for one in by_seed]
    found = [row for row in rows if row.n]
    return [*seeds.pool_seeds(found, len(by_seed)), *seeds.measure_spread(own)]


def choose_segments(episodes: Sequence[Episode], candidates: Mapping[str, Refiner]) -> list[Rollout]:
    """Let every candidate choose, and score nothing."""
    return [
        Rollout(e, {name: c.refine(e.question, e.segments) for name, c in candidates.items()}, {}, float("nan"))
        for e in episodes
    ]


def _compare_f1(rollouts: Sequence[Rollout], names: Sequence[str], split: str) -> Iterator[MetricRow]:
    """Yield each candidate's F1, and the pairs' differences."""
    for name in names:
        row = _f1_row(f"{name}_f1", rollouts, name, split)
        if (aim := TARGETS.get(name)) is not None and row.value is not None:
            row = replace(row, target=aim, holds=row.value >= aim)
        yield row
    known = [r for r in rollouts if r.f1(REFINED) == r.f1(REFINED)]
    for a, b in PAIRS:
        if {a, b} <= set(names):
            subjects = [r.episode.subject_id for r in known]
            e = bootstrap_difference([r.f1(a) for r in known], [r.f1(b) for r in known], subjects)
            yield MetricRow.of(6, f"{a}_f1_vs_{b}", split, e, target=0.0, holds=e.ci_low > 0)


def _topic_rows(rollouts: Sequence[Rollout], split: str, bin_of: Mapping[str, str]) -> Iterator[MetricRow]:
    for name, _ in BINS:
        ours = [r for r in rollouts if bin_of.get(r.episode.episode_id) == name]
        for who in COMPARED:
            yield _f1_row(f"topic_episodes_{name}_{who}_f1", ours, who, split)


def _f1_row(name: str, rollouts: Sequence[Rollout], who: str, split: str) -> MetricRow:
    known = [(r.f1(who), r.episode.subject_id) for r in rollouts if r.f1(who) == r.f1(who)]
    return MetricRow.of(6, name, split, bootstrap_mean([f for f, _ in known], [s for _, s in known]))


def _kind_rows(rollouts: Sequence[Rollout], split: str) -> Iterator[MetricRow]:
    """Yield recall and wrong picks by kind, over episodes whose facts are known."""
    known = [r for r in rollouts if r.episode.facts]
    for kind in KINDS:
        found, wrong = [], []
        for r in known:
            behind = {s.key for s in r.episode.free if s.key in r.episode.facts and read_fact_kind(s.key) == kind}
            picks = {key for key in r.programs[REFINED].picks if read_fact_kind(key) == kind}
            found += [(float(key in picks), r.episode.subject_id) for key in sorted(behind)]
            wrong.append((float(len(picks - behind)), r.episode.subject_id))
        for name, pairs in ((f"recall_of_{kind}", found), (f"wrong_picks_of_{kind}", wrong)):
            yield MetricRow.of(6, name, split, bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs]))


def _spoken_rows(
    rollouts: Sequence[Rollout], split: str, unspoken: Mapping[str, frozenset[str]]
) -> Iterator[MetricRow]:
    """Yield F1 with facts that replies reveal, and recall of the others."""
    scores, found = [], []
    for r in rollouts:
        hidden = unspoken.get(r.episode.episode_id)
        if hidden is None:
            continue
        facts = r.episode.facts & {s.key for s in r.episode.free}
        picks = set(r.programs[REFINED].picks)
        spoken, chosen = facts - hidden, picks - hidden
        if spoken:
            scores.append((2 * len(spoken & chosen) / (len(spoken) + len(chosen)), r.episode.subject_id))
        found += [(float(key in picks), r.episode.subject_id) for key in sorted(facts & hidden)]
    for name, pairs in (("refined_f1_of_spoken_facts", scores), ("recall_of_unspoken_facts", found)):
        yield MetricRow.of(6, name, split, bootstrap_mean([v for v, _ in pairs], [s for _, s in pairs]))
