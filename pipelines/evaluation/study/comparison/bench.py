"""What every part that scores replies works with: episodes, measured gains, rewards, and how to train and compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.refiner import gain_regressors
from models.refiner.baselines import NearestRefiner, RandomRefiner
from models.refiner.interface import Caps, Refiner
from models.schema import Episode
from pipelines.embedding_cache import KeptEncoder
from pipelines.evaluation.nightly.rollout import Rollout, run_rollouts
from pipelines.evaluation.study.comparison.candidates import REFINED, LengthMatchedRefiner
from pipelines.evaluation.study.comparison.recipe import Params, TrainedRefiner, TrainingRecipe, train_or_load
from pipelines.training import label_propagation, provenance, train
from pipelines.training.gains import Gains
from pipelines.training.rewards import Rewards
from pmlm.settings import Settings

#: GRPO steps of a refiner that is trained to be met with something new: RL's direction, not its last percent.
SHORT_STEPS = 8


@dataclass(frozen=True, slots=True)
class Bench:
    """``train`` are the training episodes, ``gate`` and ``test`` the held-out ones that are measured, ``measured`` the
    single gains of some training episodes. ``quick`` cuts what may be cut without changing what is asked."""

    settings: Settings
    params: Params
    reward: Rewards
    encode: KeptEncoder
    train: Sequence[Episode]
    gate: Sequence[Episode]
    test: Sequence[Episode]
    measured: Sequence[Gains]
    quick: bool = False

    @property
    def caps(self) -> Caps:
        return provenance.caps(self.params)

    @property
    def steps(self) -> int:
        return 1 if self.quick else min(SHORT_STEPS, int(self.params["train"]["grpo_steps"]))

    def labelled(self, gains: Sequence[Gains], episodes: Sequence[Episode]) -> list[Gains]:
        """What is learnt from measured ``gains`` when the replies of ``episodes`` may be read too."""
        return label_propagation.labels(gains, episodes, self.encode, provenance.slots(self.params)).gains

    def trained(self, gains: Sequence[Gains], episodes: Sequence[Episode], steps: int) -> TrainedRefiner:
        """A refiner from a warm start on ``gains`` and GRPO on ``episodes``."""
        recipe = TrainingRecipe(gains, episodes, int(self.params["train"]["seed"]), steps, self.reward.scorer.id)
        of_programs = train.rewarded(episodes, self.reward)
        return train_or_load(self.settings, recipe, self.params, self.encode, of_programs)

    def rivals(self, refined: Refiner, gains: Sequence[Gains]) -> dict[str, Refiner]:
        """``refined`` and what it has to beat, all within the same caps; the regressor learnt from ``gains``."""
        found: dict[str, Refiner] = {
            REFINED: refined,
            "minilm": NearestRefiner(self.caps, self.encode),
            "random": RandomRefiner(self.caps),
            "length_matched": LengthMatchedRefiner(refined, self.encode),
        }
        if gains:
            found["regressor"] = gain_regressors.fit_regressor(to_measured_episodes(gains), self.caps, self.encode)
        return found

    def measure(self, episodes: Sequence[Episode], contenders: Mapping[str, Refiner]) -> list[Rollout]:
        return run_rollouts(episodes, contenders, self.reward, self.encode) if episodes else []


def to_measured_episodes(gains: Sequence[Gains]) -> list[gain_regressors.MeasuredEpisode]:
    """Measured gains as the alternatives without RL read them."""
    return [
        gain_regressors.MeasuredEpisode(g.episode.question, g.episode.subject_id, g.segments, g.useful, g.styles)
        for g in gains
    ]
