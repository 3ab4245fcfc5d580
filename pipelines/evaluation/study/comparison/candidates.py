"""The refiners compared: untrained baselines, fits of single gains without RL, and policies.

All but the initial prompt have the same caps. All that learn see the same labels: those that the night's training made
from the single gains it paid for, found again in the score cache (pipelines/training/label_propagation.py).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from models.refiner import checkpoint, gain_regressors
from models.refiner.baselines import EmptyRefiner, FullRefiner, NearestRefiner, RandomRefiner, RankingRefiner
from models.refiner.featurizer import Featurizer
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import Caps, Refiner
from models.schema import EditProgram, Episode, Segment
from pipelines.embedding_cache import CachedEncoder
from pipelines.evaluation.study.comparison import prompt_optimizers
from pipelines.evaluation.study.comparison.budget import BudgetSpentError
from pipelines.params import Params, load_params
from pipelines.training import gains, measured_set, methods
from pipelines.training.champion import champion_folder
from pipelines.training.provenance import WARM_START
from pipelines.training.rewards import Rewards
from pmlm.errors import TrainingError
from pmlm.settings import Settings

log = logging.getLogger(__name__)

REFINED = "refined"
PEER_KINDS = frozenset({"peer"})
NEWEST_FIRST = float("inf")


class KindOnlyRefiner:
    """The initial ranking over peer segments alone, or over all others."""

    def __init__(self, id: str, caps: Caps, peers: bool) -> None:
        self.id, self.caps, self.peers = id, caps, peers

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        of_kind = (s for s in segments if (s.kind in PEER_KINDS) == self.peers)
        return EditProgram(tuple(s.key for s in self.caps.fit(of_kind)))


class NewestRefiner:
    """The most recently recorded facts, within the caps."""

    id = "recent"

    def __init__(self, caps: Caps) -> None:
        self.caps = caps

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        ordered = sorted(segments, key=lambda s: NEWEST_FIRST if s.recency_days is None else s.recency_days)
        return EditProgram(tuple(s.key for s in self.caps.fit(ordered)))


class TrueFactsRefiner:
    """The facts behind each simulated reply, within the caps: the most that choosing can reach."""

    id = "facts"

    def __init__(self, caps: Caps, episodes: Sequence[Episode]) -> None:
        self.caps = caps
        self._facts = {(e.question, e.segments): e.facts for e in episodes}

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        behind = self._facts.get((question, segments), frozenset())
        return EditProgram(tuple(s.key for s in self.caps.fit(s for s in segments if s.key in behind)))


@dataclass
class LengthMatchedRefiner:
    """The segments nearest to the question, cut to as many tokens as another refiner uses."""

    other: Refiner
    encoder: CachedEncoder
    id: str = "length_matched"

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        picks = set(self.other.refine(question, segments).picks)
        spent = sum(s.tokens for s in segments if s.key in picks)
        return NearestRefiner(Caps(len(segments), spent), self.encoder).refine(question, segments)


def measure_affordable_gains(
    settings: Settings, episodes: Sequence[Episode], reward: Rewards, budget: int | None = None
) -> list[gains.EpisodeGains]:
    """Measure the gains of the episodes that the nights chose; where none did, of those that a night's budget pays for.

    ``budget`` bounds the evaluations, cached or not.
    """
    params = load_params(settings)
    train = [e for e in episodes if e.split == "train"]
    conditions = measured_set.hash_conditions(reward.scorer.id, params.slots)
    chosen = measured_set.find_chosen(measured_set.choices_path(settings), train, conditions)
    if budget is not None or not chosen:
        limit = params.train.gain_evaluations if budget is None else min(budget, params.train.gain_evaluations)
        chosen = gains.select_affordable(train, limit, params.slots)
    found: list[gains.EpisodeGains] = []
    with suppress(BudgetSpentError):  # the gains measured so far are used
        for episode in chosen:
            found += [gains.measure_gains(reward, episode, params.slots)]
    return found


def load_policies(settings: Settings, encode: CachedEncoder) -> dict[str, Refiner]:
    """Load the night's challenger (``refined``) and its warm start; without a challenger, the policy that serves."""
    challenger = settings.models / "challenger"
    found: dict[str, Refiner] = {}
    for name, folder in ((REFINED, challenger), ("warm_start", challenger / WARM_START)):
        if (folder / checkpoint.DESCRIPTION).exists():
            found[name] = checkpoint.load_refiner(folder, encode)
    serving = champion_folder(settings)
    if REFINED not in found and (serving / checkpoint.DESCRIPTION).exists():
        refiner = checkpoint.load_refiner(serving, encode)
        found |= {REFINED: refiner} if isinstance(refiner, PolicyRefiner) else {}
    return found


def build_rules(limits: Caps, encode: CachedEncoder) -> dict[str, Refiner]:
    """Build the candidates that learn nothing, by name."""
    return {
        "initial": FullRefiner(),
        "none": EmptyRefiner(),
        "random": RandomRefiner(limits),
        "recent": NewestRefiner(limits),
        "minilm": NearestRefiner(limits, encode),
        "self": KindOnlyRefiner("self", limits, peers=False),
        "peer": KindOnlyRefiner("peer", limits, peers=True),
        "ranking": RankingRefiner(limits),
    }


def fit_by_gain(measured: Sequence[gains.EpisodeGains], limits: Caps, encode: CachedEncoder) -> dict[str, Refiner]:
    """Fit the candidates by predicted gains, by name; none without labels."""
    examples = methods.to_measured_episodes(measured)
    if not examples:
        return {}
    return {
        "fixed": gain_regressors.fit_fixed(examples, limits),
        "table": gain_regressors.fit_table(examples, limits, encode),
        "regressor": gain_regressors.fit_regressor(examples, limits, encode),
    }


def train_candidates(
    settings: Settings,
    params: Params,
    warm_start: Refiner | None,
    episodes: Sequence[Episode],
    measured: Sequence[gains.EpisodeGains],
    encode: CachedEncoder,
    reward: Rewards,
) -> Iterator[tuple[str, Refiner]]:
    """Train candidates at as many reward evaluations as GRPO gets.

    Best-of-K distillation, and GEPA and MIPROv2 where a capable language model is configured; else a warning is logged.
    """
    if isinstance(warm_start, PolicyRefiner):
        yield "best_of_k", distil_best_of_k(warm_start, episodes, params, encode, reward)
    try:
        yield from prompt_optimizers.optimize_instructions(settings, params, measured, reward).items()
    except BudgetSpentError:
        raise
    except TrainingError as error:
        log.warning("gepa and mipro are left out: %s", error)


def distil_best_of_k(
    warm_start: PolicyRefiner,
    episodes: Sequence[Episode],
    params: Params,
    encode: CachedEncoder,
    reward: Rewards,
) -> PolicyRefiner:
    """Distil a copy of ``warm_start`` on training episodes by best-of-K."""
    policy = copy.deepcopy(warm_start.policy)
    featurizer = Featurizer(encode)
    prompts = methods.build_prompts(episodes, featurizer, params.slots)
    policy.pointer.set_table(featurizer.build_table())
    of_programs = methods.build_reward_function(episodes, reward)
    methods.distil_best_of_k(policy, prompts, of_programs, params.train, params.train.seed)
    return PolicyRefiner(policy, encode, "best_of_k")
