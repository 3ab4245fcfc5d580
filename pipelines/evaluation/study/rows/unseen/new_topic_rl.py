"""Row 7 on topics of which the refiner has seen only a few rewards.

The ``TOPICS`` topics with most test episodes are left out of the warm start. Then, from that same start:

- ``refined``   RL on at most ``EACH`` training episodes of each, ``REWARDS`` rewards of sampled programs
- ``equal_reward_control``   supervised, on single gains of the same episodes at no more rewards, with as many picks and
  tokens as ``refined`` (``comparison.matched``)

``rl_new_topic_A_vs_B``: A is ``reward`` (length priced), ``log_p`` or ``f1`` of refined less B's, on the test episodes
of these topics, over all seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from models.refiner.baselines import EmptyRefiner, NearestRefiner
from models.refiner.interface import Refiner
from models.schema import Episode
from pipelines.evaluation.nightly.intervals import Estimate, bootstrap_difference
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison import seeds
from pipelines.evaluation.study.comparison.bench import Bench
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.evaluation.study.comparison.matched import MatchedRefiner
from pipelines.evaluation.study.comparison.recipe import TrainedRefiner, TrainingRecipe, train_or_load
from pipelines.evaluation.study.comparison.topics import assign_topics
from pipelines.splits import TEST, hash_order
from pipelines.training import gains as single
from pipelines.training import methods

TOPICS, EACH, REWARDS = 4, 8, 608
QUICK_REWARDS = 64
FEWEST_GAINS = 4  # measured episodes of other topics, or there is no warm start
RIVALS = ("warm_start", "equal_reward_control", "minilm", "none")
AIMS = ("warm_start", "equal_reward_control")
Figure = Callable[[Rollout, str], float]
FIGURES: Mapping[str, Figure] = {
    "reward": lambda r, name: r.outcomes[name].reward,
    "log_p": lambda r, name: r.outcomes[name].score.specific,
    "f1": lambda r, name: r.f1(name),
}


def build_rows(bench: Bench, seed_count: int) -> list[MetricRow]:
    """Build the rows over all seeds; none with too few topics, episodes or gains."""
    known = assign_topics([*bench.train, *bench.test], bench.train, bench.encode) if bench.train else {}
    left_out = choose_topics([known[e.episode_id] for e in bench.test], [known[e.episode_id] for e in bench.train])
    tests = [e for e in bench.test if known[e.episode_id] in left_out]
    few = choose_few(bench.train, known, left_out)
    seen = [e for e in bench.train if known[e.episode_id] not in left_out]
    gains = [g for g in bench.gains if known[g.episode.episode_id] not in left_out]
    if not tests or len(few) < bench.params.train.batch // bench.params.train.generations or len(gains) < FEWEST_GAINS:
        return []
    labelled = bench.label(gains, seen)
    rewards = QUICK_REWARDS if bench.quick else REWARDS
    affordable = single.select_affordable(few, rewards, bench.params.slots)
    control = bench.label([single.measure_gains(bench.reward, e, bench.params.slots) for e in affordable], [])
    rollouts: list[Rollout] = []
    count = 1 if bench.quick else seed_count
    for number in range(count):
        seed = bench.params.train.seed + seeds.SEED_STEP * number
        warm = _train(bench, TrainingRecipe(labelled, (), seed, 0, bench.reward.scorer.id)).refined
        start = (warm.id, warm.policy)
        steps = rewards // bench.params.train.batch
        refined = _train(bench, TrainingRecipe((), few, seed, steps, bench.reward.scorer.id, start)).refined
        taught = _train(bench, TrainingRecipe(control, (), seed, 0, bench.reward.scorer.id, start)).refined
        compared: dict[str, Refiner] = {
            REFINED: refined,
            "warm_start": warm,
            "equal_reward_control": MatchedRefiner(taught, refined),
            "minilm": NearestRefiner(bench.caps, bench.encode),
            "none": EmptyRefiner(),
        }
        rollouts += bench.roll_out(tests, compared)
    spent = Estimate(float(steps * bench.params.train.batch), float("nan"), float("nan"), len(few), 0)
    return [*_compare(rollouts, count), MetricRow.of(7, "rl_new_topic_rewards", "train", spent, seeds=count)]


def choose_topics(tested: Sequence[str], trained: Sequence[str]) -> set[str]:
    """Choose the topics most tested, at most half of those trained."""
    counted = Counter(t for t in tested if t in set(trained))
    ordered = sorted(counted, key=lambda topic: (-counted[topic], topic))
    return set(ordered[: min(TOPICS, len(set(trained)) // 2)])


def choose_few(train: Sequence[Episode], known: Mapping[str, str], left_out: set[str]) -> list[Episode]:
    """Choose at most ``EACH`` training episodes of each left-out topic, in a fixed order."""
    taken: Counter[str] = Counter()
    few = []
    for episode in sorted(train, key=lambda e: hash_order(e.episode_id)):
        topic = known[episode.episode_id]
        if topic in left_out and taken[topic] < EACH:
            taken[topic] += 1
            few.append(episode)
    return few


def _train(bench: Bench, recipe: TrainingRecipe) -> TrainedRefiner:
    reward = methods.build_reward_function(recipe.episodes, bench.reward)
    return train_or_load(bench.settings, recipe, bench.params, bench.encode, reward)


def _compare(rollouts: Sequence[Rollout], count: int) -> list[MetricRow]:
    out = []
    for figure, of in FIGURES.items():
        for rival in RIVALS:
            known = [r for r in rollouts if of(r, REFINED) == of(r, REFINED)]
            e = bootstrap_difference(
                [of(r, REFINED) for r in known],
                [of(r, rival) for r in known],
                [r.episode.subject_id for r in known],
            )
            aim, holds = (0.0, e.ci_low > 0) if rival in AIMS else (None, None)
            row = MetricRow.of(7, f"rl_new_topic_{figure}_vs_{rival}", TEST, e, target=aim, holds=holds, seeds=count)
            out += seeds.pool_seeds([row], count)
    return [row for row in out if row.n]
