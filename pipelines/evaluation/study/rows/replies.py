"""Rows 1, 5, 6, 7, 8 and 11: what refined prompts do to the likelihood of the clinician's own reply.

On held-out patients, every contender on the same episodes. ``refined_vs_X`` is the difference in mean log p of the
reply's patient-specific tokens (nats a token), ``reward_refined_vs_X`` in the whole reward, length priced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from models.refiner.interface import Refiner
from models.reward.terms import Score
from models.schema import EditProgram, Episode
from pipelines.embedding_cache import KeptEncoder
from pipelines.evaluation.nightly import metrics as nightly
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout, match_other_patients, run_rollouts
from pipelines.evaluation.study.comparison import seeds
from pipelines.evaluation.study.comparison.budget import BudgetSpentError
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.training.gains import Gains, validity
from pipelines.training.rewards import LARGEST_UNIT, Rewards, trial

VALID = 0.95
SWAP = 0.4
#: Row 5's steps: each is the ranking over more kinds of segment, the last the trained policy.
ABLATION = (("self", "none"), ("peer", "none"), ("ranking", "self"), ("ranking", "peer"), (REFINED, "ranking"))
LEARNT = ("warm_start", "table", "regressor", "best_of_k", "gepa", "mipro", "refined+cosine")


def rows(
    episodes: Sequence[Episode],
    contenders: Mapping[str, Refiner],
    gains: Sequence[Gains],
    reward: Rewards,
    encode: KeptEncoder,
    split: str,
    others: Sequence[Callable[[], Mapping[str, Refiner]]] = (),
) -> tuple[list[MetricRow], list[Rollout]]:
    """The rows of one split's episodes, over the night's seed and ``others`` (each trained when it is its
    turn, the first that the budget does not pay for ends them), and the night's measurements."""
    found = validity_rows(gains)
    chosen = [e for e in episodes if e.split == split]
    if not chosen or REFINED not in contenders:
        return found, []
    measured = run_rollouts(chosen, contenders, reward, encode)
    by_seed = [measured]
    swaps = [_swapped(measured, contenders[REFINED], reward, encode)]
    for another in others:
        try:
            other = another()
            seen = seeds.merge_seed(measured, run_rollouts(chosen, other, reward, encode))
            swaps.append(_swapped(seen, other[REFINED], reward, encode))
            by_seed.append(seen)
        except BudgetSpentError:
            break  # the seeds that were paid for count
    names = list(contenders)
    everything = [m for one in by_seed for m in one]
    found += seeds.pool_seeds(_all(everything, [s for one in swaps for s in one], names, split), len(by_seed))
    own = [_all(m, s, names, split) for m, s in zip(by_seed, swaps, strict=True)]
    found += seeds.measure_spread([{row.name: row for row in one} for one in own])
    return found, measured


def _all(
    measured: Sequence[Rollout], swaps: Sequence[tuple[Rollout, Score]], names: Sequence[str], split: str
) -> list[MetricRow]:
    """Rows 5 to 8 and the pinned facts' over some measurements."""
    found = [_renumbered(row) for row in nightly.build_rows(measured, split, names)]
    found += [_difference(5, f"ablation_{a}_vs_{b}", measured, a, b, split) for a, b in ABLATION]
    return [*found, _swap(swaps, split)]


def validity_rows(gains: Sequence[Gains]) -> list[MetricRow]:
    """Row 1: does a segment's single gain tell the facts behind the reply from the rest?"""
    one_each = [(validity([g]), g.episode.subject_id) for g in gains]
    known = [(value, subject) for value, subject in one_each if value is not None]
    if not known:
        return []
    e = bootstrap_mean([v for v, _ in known], [s for _, s in known])
    return [MetricRow.of(1, "gain_validity_auc", "train", e, target=VALID, holds=e.value >= VALID)]


def _renumbered(row: MetricRow) -> MetricRow:
    """The night's rows count what was learnt without RL as row 6; the table of the method has it in row 7."""
    about = {f"{kind}refined_vs_{name}" for name in LEARNT for kind in ("", "reward_")}
    return MetricRow(7, **{k: v for k, v in row.json().items() if k != "row"}) if row.name in about else row


def _difference(number: int, name: str, measured: Sequence[Rollout], a: str, b: str, split: str) -> MetricRow:
    subjects = [m.episode.subject_id for m in measured]
    ours, theirs = ([m.outcomes[who].score.specific for m in measured] for who in (a, b))
    e = bootstrap_difference(ours, theirs, subjects)
    return MetricRow.of(number, name, split, e, target=0.0, holds=e.ci_low > 0)


def _swapped(
    measured: Sequence[Rollout], refined: Refiner, reward: Rewards, encode: KeptEncoder
) -> list[tuple[Rollout, Score]]:
    """Each episode with the score, on her record, of the keys chosen for another patient who asked the like."""
    others = match_other_patients([m.episode for m in measured], encode)
    pairs = [(m, other) for m, other in zip(measured, others, strict=True) if other is not None]
    swapped = [_borrowed(m.episode, refined.refine(o.question, o.segments)) for m, o in pairs]
    trials = [trial(m.episode, program) for (m, _), program in zip(pairs, swapped, strict=True)]
    theirs: list[Score] = []
    for start in range(0, len(trials), LARGEST_UNIT):
        theirs += reward.scores(trials[start : start + LARGEST_UNIT])
    return [(m, score) for (m, _), score in zip(pairs, theirs, strict=True)]


def _swap(swaps: Sequence[tuple[Rollout, Score]], split: str) -> MetricRow:
    """Row 8: her own chosen keys against those chosen for another patient who asked the like, both on her record."""
    e = bootstrap_difference(
        [m.outcomes[REFINED].score.specific for m, _ in swaps],
        [score.specific for _, score in swaps],
        [m.episode.subject_id for m, _ in swaps],
    )
    return MetricRow.of(8, "selection_swap", split, e, target=SWAP, holds=e.value >= SWAP and e.ci_low > 0)


def _borrowed(hers: Episode, program: EditProgram) -> EditProgram:
    """The other patient's choice as far as her record has those keys."""
    keys = {s.key for s in hers.free}
    return EditProgram(tuple(k for k in program.picks if k in keys), program.style)


def slices(measured: Sequence[Rollout], split: str, of: Mapping[str, Callable[[Episode], str]]) -> list[MetricRow]:
    """Refined against ranking in whole reward, by slice; ``of`` names each kind of slice and reads an episode's."""
    out = []
    for kind, read in of.items():
        for name in sorted({read(m.episode) for m in measured}):
            ours = [m for m in measured if read(m.episode) == name]
            e = bootstrap_difference(
                [m.outcomes[REFINED].reward for m in ours],
                [m.outcomes["ranking"].reward for m in ours],
                [m.episode.subject_id for m in ours],
            )
            out.append(MetricRow.of(6, f"slice_{kind}_{name}_reward_refined_vs_ranking", split, e))
    return out
