"""Row 6 by slice: whom, which topics and which facts the prompt serves.

- ``slice_X_refined_vs_ranking`` (log p) and ``slice_X_refined_f1``: by age, trimester, length of record, language.
- ``topic_episodes_N_X_f1``: by how many training episodes the question's topic has.
- ``recall_of_KIND`` is the share of the facts behind replies that were chosen, ``wrong_picks_of_KIND`` how many others
  a prompt has. Kinds are read from the facts' keys (``comparison.fact_kinds``).
- ``refined_f1_of_spoken_facts`` leaves out facts that no sentence of the reply reveals, ``recall_of_unspoken_facts`` is
  the share of these that were chosen: no reader of replies can learn them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from models.schema import Episode
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.evaluation.study.comparison.fact_kinds import KINDS, read_fact_kind
from pipelines.evaluation.study.comparison.topics import BINS

COMPARED = (REFINED, "ranking", "minilm")


def build_rows(
    rollouts: Sequence[Rollout],
    split: str,
    slices: Mapping[str, Callable[[Episode], str]],
    bin_of: Mapping[str, str],
    unspoken: Mapping[str, frozenset[str]],
) -> list[MetricRow]:
    """Build all rows; ``bin_of`` and ``unspoken`` are by episode id."""
    rows = [
        *_slice_rows(rollouts, split, slices),
        *_topic_rows(rollouts, split, bin_of),
        *_kind_rows(rollouts, split),
        *_spoken_rows(rollouts, split, unspoken),
    ]
    return [row for row in rows if row.n]


def _slice_rows(
    rollouts: Sequence[Rollout], split: str, slices: Mapping[str, Callable[[Episode], str]]
) -> Iterator[MetricRow]:
    for kind, read in slices.items():
        for name in sorted({read(r.episode) for r in rollouts}):
            ours = [r for r in rollouts if read(r.episode) == name]
            e = bootstrap_difference(
                [r.outcomes[REFINED].score.specific for r in ours],
                [r.outcomes["ranking"].score.specific for r in ours],
                [r.episode.subject_id for r in ours],
            )
            yield MetricRow.of(6, f"slice_{kind}_{name}_refined_vs_ranking", split, e)
            yield _f1_row(f"slice_{kind}_{name}_refined_f1", ours, REFINED, split)


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
