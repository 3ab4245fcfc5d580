"""Everybody who is compared: what needs no training, what learns from single gains without RL, and the refined ones.

All but the initial prompt are held to the same caps. Learners see the same labels: those that the night's training
made from the single gains it paid for, found again in the score cache (pipelines/training/label_propagation.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from models.refiner import checkpoint, gain_regressors
from models.refiner.baselines import EmptyRefiner, FullRefiner, NearestRefiner, RandomRefiner, RankingRefiner
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import Caps, Refiner
from models.schema import EditProgram, Episode, Segment
from pipelines.embedding_cache import KeptEncoder
from pipelines.evaluation.study.comparison import best_of_k, prompt_optimizers
from pipelines.evaluation.study.comparison.budget import BudgetSpentError
from pipelines.params import load_params
from pipelines.training import gains
from pipelines.training.provenance import WARM_START, caps, slots
from pipelines.training.rewards import Rewards
from pmlm.errors import TrainingError
from pmlm.settings import Settings

log = logging.getLogger(__name__)

REFINED = "refined"
PEER_KINDS = frozenset({"peer"})
NEWEST_FIRST = float("inf")


class KindOnlyRefiner:
    """The initial ranking over some kinds of segment alone, within the caps."""

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


@dataclass
class LengthMatchedRefiner:
    """Segments nearest to the question, cut to the tokens that another refiner spends on the same question."""

    other: Refiner
    encoder: KeptEncoder
    id: str = "length_matched"

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        picks = set(self.other.refine(question, segments).picks)
        spent = sum(s.tokens for s in segments if s.key in picks)
        return NearestRefiner(Caps(len(segments), spent), self.encoder).refine(question, segments)


def measure_affordable_gains(
    settings: Settings, episodes: Sequence[Episode], reward: Rewards, budget: int | None = None
) -> list[gains.Gains]:
    """Single gains of the training episodes that the night's budget (or a smaller one) pays for."""
    params = load_params(settings)
    limit = params["train"]["gain_evaluations"] if budget is None else min(budget, params["train"]["gain_evaluations"])
    chosen = gains.affordable([e for e in episodes if e.split == "train"], limit, slots(params))
    found: list[gains.Gains] = []
    with suppress(BudgetSpentError):  # what was paid for is learnt from
        for episode in chosen:
            found += [gains.measure(reward, episode, slots(params))]
    return found


def load_candidates(settings: Settings, encode: KeptEncoder, measured: Sequence[gains.Gains]) -> dict[str, Refiner]:
    """Contenders by name; the night's challenger (``refined``) and its warm start only where one was trained."""
    limits = caps(load_params(settings))
    challenger = settings.models / "challenger"
    found: dict[str, Refiner] = {
        "initial": FullRefiner(),
        "none": EmptyRefiner(),
        "random": RandomRefiner(limits),
        "recent": NewestRefiner(limits),
        "minilm": NearestRefiner(limits, encode),
        "self": KindOnlyRefiner("self", limits, peers=False),
        "peer": KindOnlyRefiner("peer", limits, peers=True),
        "ranking": RankingRefiner(limits),
    }
    learnt = [
        gain_regressors.MeasuredEpisode(g.episode.question, g.episode.subject_id, g.segments, g.useful, g.styles)
        for g in measured
    ]
    if learnt:
        found["fixed"] = gain_regressors.fit_fixed(learnt, limits)
        found["table"] = gain_regressors.fit_table(learnt, limits, encode)
        found["regressor"] = gain_regressors.fit_regressor(learnt, limits, encode)
    for name, folder in ((REFINED, challenger), ("warm_start", challenger / WARM_START)):
        if (folder / checkpoint.DESCRIPTION).exists():
            found[name] = checkpoint.load_refiner(folder, encode)
    if REFINED in found:
        found["length_matched"] = LengthMatchedRefiner(found[REFINED], encode)
    return found


def train_candidates(
    settings: Settings,
    params: dict[str, dict[str, Any]],
    warm_start: Refiner | None,
    episodes: Sequence[Episode],
    measured: Sequence[gains.Gains],
    encode: KeptEncoder,
    reward: Rewards,
) -> Iterator[tuple[str, Refiner]]:
    """Contenders that are trained here, at as many reward evaluations as GRPO: best-of-K, and GEPA and MIPROv2 where a
    capable language model is configured; it is said on the log where they are left out, and why."""
    if isinstance(warm_start, PolicyRefiner):
        yield "best_of_k", best_of_k.distil_best_of_k(warm_start, episodes, params, encode, reward)
    try:
        yield from prompt_optimizers.optimize_instructions(settings, params, measured, reward).items()
    except BudgetSpentError:
        raise
    except TrainingError as error:
        log.warning("gepa and mipro are left out: %s", error)
