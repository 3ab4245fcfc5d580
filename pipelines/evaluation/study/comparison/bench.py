"""What every scored part works with: episodes, gains, rewards, training, comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from models.refiner.baselines import NearestRefiner, RandomRefiner
from models.refiner.gain_regressors import fit_regressor
from models.refiner.interface import Caps, Refiner
from models.schema import Episode
from pipelines.embedding_cache import CachedEncoder
from pipelines.evaluation.nightly.rollout import Rollout, run_rollouts
from pipelines.evaluation.study.comparison.candidates import REFINED, LengthMatchedRefiner
from pipelines.evaluation.study.comparison.recipe import TrainedRefiner, TrainingRecipe, train_or_load
from pipelines.params import Params
from pipelines.training import label_propagation, methods
from pipelines.training.gains import EpisodeGains
from pipelines.training.rewards import Rewards
from pmlm.settings import Settings

#: GRPO steps of a refiner that is trained to be tested on something new: RL's direction, not its last percent.
SHORT_STEPS = 8


@dataclass(frozen=True)
class Bench:
    """Training episodes, measured held-out episodes, and the gains of some training episodes.

    ``measure`` gives the gains: called once, by the first part that needs them. ``quick`` cuts work without changing
    which rows are built.
    """

    settings: Settings
    params: Params
    reward: Rewards
    encode: CachedEncoder
    train: Sequence[Episode]
    gate: Sequence[Episode]
    test: Sequence[Episode]
    measure: Callable[[], Sequence[EpisodeGains]]
    quick: bool = False

    @cached_property
    def gains(self) -> Sequence[EpisodeGains]:
        return self.measure()

    @cached_property
    def labelled(self) -> list[EpisodeGains]:
        """What the night's training learnt from: gains and readable replies."""
        return self.label(self.gains, self.train)

    @property
    def caps(self) -> Caps:
        return self.params.caps

    @property
    def steps(self) -> int:
        return 1 if self.quick else min(SHORT_STEPS, self.params.train.grpo_steps)

    def label(self, gains: Sequence[EpisodeGains], episodes: Sequence[Episode]) -> list[EpisodeGains]:
        """Label ``gains``, and ``episodes`` whose replies may be read, for learning."""
        return label_propagation.propagate_labels(gains, episodes, self.encode, self.params.slots).gains

    def train_refiner(self, gains: Sequence[EpisodeGains], episodes: Sequence[Episode], steps: int) -> TrainedRefiner:
        """Train a refiner from a warm start on ``gains`` and GRPO on ``episodes``."""
        recipe = TrainingRecipe(gains, episodes, self.params.train.seed, steps, self.reward.scorer.id)
        of_programs = methods.build_reward_function(episodes, self.reward)
        return train_or_load(self.settings, recipe, self.params, self.encode, of_programs)

    def build_rivals(self, refined: Refiner, gains: Sequence[EpisodeGains]) -> dict[str, Refiner]:
        """``refined`` and what it has to beat, within the same caps; the regressor fits ``gains``."""
        found: dict[str, Refiner] = {
            REFINED: refined,
            "minilm": NearestRefiner(self.caps, self.encode),
            "random": RandomRefiner(self.caps),
            "length_matched": LengthMatchedRefiner(refined, self.encode),
        }
        if gains:
            found["regressor"] = fit_regressor(methods.to_measured_episodes(gains), self.caps, self.encode)
        return found

    def roll_out(self, episodes: Sequence[Episode], candidates: Mapping[str, Refiner]) -> list[Rollout]:
        """Roll out ``candidates`` on ``episodes``."""
        return run_rollouts(episodes, candidates, self.reward, self.encode) if episodes else []
