"""Rows 1, 5–8, 11: likelihood of the reply by refined prompts.

On held-out patients, every candidate on the same episodes and, but for the initial prompt, under the same caps.
``X_vs_Y`` is the difference in mean log p of the reply's patient-specific tokens (nats per token). It knows nothing of
length, which is in ``X_tokens`` and, priced, in ``reward_refined_vs_Y``. ``refined_share_of_true_facts_gain`` is

    Σ (log p of refined − of no facts) / Σ (log p of the true facts under the caps − of no facts)

``selection_swap_of_true_facts`` is the swap of the true facts behind the replies: what ``selection_swap`` can reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from models.refiner.interface import Refiner
from models.reward.terms import Score
from models.schema import EditProgram, Episode
from pipelines.embedding_cache import CachedEncoder
from pipelines.evaluation.nightly import metrics as nightly
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean, bootstrap_ratio
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout, match_other_patients, run_rollouts
from pipelines.evaluation.study.comparison import seeds
from pipelines.evaluation.study.comparison.budget import BudgetSpentError
from pipelines.evaluation.study.comparison.candidates import REFINED, TrueFactsRefiner
from pipelines.evaluation.study.comparison.paired import compare_log_p
from pipelines.training.gains import EpisodeGains, compute_gain_auc
from pipelines.training.rewards import LARGEST_UNIT, Rewards, build_trial

VALID = 0.95
SWAP = 0.2
FACTS_SHARE = 0.75
TRUE_FACTS = TrueFactsRefiner.id
#: Row 5's steps: each is the ranking over more kinds of segment, the last the trained policy.
ABLATION = (("self", "none"), ("peer", "none"), ("ranking", "self"), ("ranking", "peer"), (REFINED, "ranking"))
LEARNT = ("warm_start", "table", "regressor", "best_of_k", "gepa", "mipro", "refined+cosine")


def build_rows(
    episodes: Sequence[Episode],
    candidates: Mapping[str, Refiner],
    gains: Sequence[EpisodeGains],
    reward: Rewards,
    encode: CachedEncoder,
    split: str,
    others: Sequence[Callable[[], Mapping[str, Refiner]]] = (),
) -> tuple[list[MetricRow], list[Rollout]]:
    """Build one split's rows over the night's seed and ``others``; return the night's rollouts too.

    ``others`` train one seed's refiners each, in turn; the first that the budget does not pay for ends them.
    """
    found = build_validity_rows(gains) if gains else []
    chosen = [e for e in episodes if e.split == split]
    if not chosen or REFINED not in candidates:
        return found, []
    rollouts = run_rollouts(chosen, candidates, reward, encode)
    by_seed = [rollouts]
    swaps = [_score_swaps(rollouts, candidates[REFINED], reward, encode)]
    if TRUE_FACTS in candidates:
        of_facts = _score_swaps(rollouts, candidates[TRUE_FACTS], reward, encode)
        found.append(_swap_row(f"selection_swap_of_true_{TRUE_FACTS}", of_facts, TRUE_FACTS, split, None))
    for another in others:
        try:
            other = another()
            merged = seeds.merge_seed(rollouts, run_rollouts(chosen, other, reward, encode))
            swaps.append(_score_swaps(merged, other[REFINED], reward, encode))
            by_seed.append(merged)
        except BudgetSpentError:
            break  # the seeds that were paid for count
    names = list(candidates)
    everything = [rollout for one in by_seed for rollout in one]
    found += seeds.pool_seeds(_split_rows(everything, [s for one in swaps for s in one], names, split), len(by_seed))
    own = [_split_rows(m, s, names, split) for m, s in zip(by_seed, swaps, strict=True)]
    found += seeds.measure_spread([{row.name: row for row in one} for one in own])
    return found, rollouts


def _split_rows(
    rollouts: Sequence[Rollout], swaps: Sequence[tuple[Rollout, Score]], names: Sequence[str], split: str
) -> list[MetricRow]:
    """Build rows 5 to 8, and row 11's of the pinned facts, over some rollouts."""
    found = [_renumber(row) for row in nightly.build_rows(rollouts, split, names)]
    present = set(names)
    found += [
        _difference_row(5, f"ablation_{a}_vs_{b}", rollouts, a, b, split) for a, b in ABLATION if {a, b} <= present
    ]
    if {"ranking", "minilm"} <= present:
        found.append(_difference_row(6, "ranking_vs_minilm", rollouts, "ranking", "minilm", split))
    if {TRUE_FACTS, "none"} <= present:
        found.append(_facts_share_row(rollouts, split))
    return [*(row for row in found if row.n), _swap_row("selection_swap", swaps, REFINED, split, SWAP)]


def _facts_share_row(rollouts: Sequence[Rollout], split: str) -> MetricRow:
    known = [r for r in rollouts if r.programs[TRUE_FACTS].picks]
    refined, facts, none = ([r.outcomes[name].score.specific for r in known] for name in (REFINED, TRUE_FACTS, "none"))
    e = bootstrap_ratio(
        [ours - nothing for ours, nothing in zip(refined, none, strict=True)],
        [best - nothing for best, nothing in zip(facts, none, strict=True)],
        [r.episode.subject_id for r in known],
    )
    name = "refined_share_of_true_facts_gain"
    return MetricRow.of(6, name, split, e, target=FACTS_SHARE, holds=e.value >= FACTS_SHARE)


def build_validity_rows(gains: Sequence[EpisodeGains]) -> list[MetricRow]:
    """Row 1: does the single gain separate facts behind the reply from the rest?"""
    one_each = [(compute_gain_auc([g]), g.episode.subject_id) for g in gains]
    known = [(value, subject) for value, subject in one_each if value is not None]
    if not known:
        return []
    e = bootstrap_mean([v for v, _ in known], [s for _, s in known])
    return [MetricRow.of(1, "gain_validity_auc", "train", e, target=VALID, holds=e.value >= VALID)]


def _renumber(row: MetricRow) -> MetricRow:
    """Move what learns without RL to row 7."""
    about = {f"{kind}refined_vs_{name}" for name in LEARNT for kind in ("", "reward_")}
    return MetricRow(7, **{k: v for k, v in row.json().items() if k != "row"}) if row.name in about else row


def _difference_row(number: int, name: str, rollouts: Sequence[Rollout], a: str, b: str, split: str) -> MetricRow:
    e = compare_log_p(rollouts, a, b)
    return MetricRow.of(number, name, split, e, target=0.0, holds=e.ci_low > 0)


def _score_swaps(
    rollouts: Sequence[Rollout], refined: Refiner, reward: Rewards, encode: CachedEncoder
) -> list[tuple[Rollout, Score]]:
    """Score, on each patient's record, the keys chosen for another's similar question."""
    others = match_other_patients([r.episode for r in rollouts], encode)
    pairs = [(r, other) for r, other in zip(rollouts, others, strict=True) if other is not None]
    swapped = [_borrow_keys(r.episode, refined.refine(o.question, o.segments)) for r, o in pairs]
    trials = [build_trial(r.episode, program) for (r, _), program in zip(pairs, swapped, strict=True)]
    theirs: list[Score] = []
    for start in range(0, len(trials), LARGEST_UNIT):
        theirs += reward.scores(trials[start : start + LARGEST_UNIT])
    return [(r, score) for (r, _), score in zip(pairs, theirs, strict=True)]


def _swap_row(
    name: str, swaps: Sequence[tuple[Rollout, Score]], refiner: str, split: str, target: float | None
) -> MetricRow:
    """Row 8: the patient's own keys against those chosen for another's similar question."""
    e = bootstrap_difference(
        [r.outcomes[refiner].score.specific for r, _ in swaps],
        [score.specific for _, score in swaps],
        [r.episode.subject_id for r, _ in swaps],
    )
    holds = None if target is None else e.value >= target and e.ci_low > 0
    return MetricRow.of(8, name, split, e, target=target, holds=holds)


def _borrow_keys(episode: Episode, program: EditProgram) -> EditProgram:
    """Reduce another patient's choice to the keys that this episode has."""
    keys = {s.key for s in episode.free}
    return EditProgram(tuple(k for k in program.picks if k in keys), program.style)
