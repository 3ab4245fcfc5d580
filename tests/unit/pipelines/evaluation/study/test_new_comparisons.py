"""Slices by topic and kind of fact, the true facts as the limit, other seeds, and what RL is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.encoder import MiniLM
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import Caps
from models.refiner.policy import Policy, PolicyConfig
from models.reward.terms import Score
from models.schema import EditProgram, Episode, Segment
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison import seeds, truth
from pipelines.evaluation.study.comparison.candidates import TrueFactsRefiner
from pipelines.evaluation.study.comparison.matched import MatchedRefiner
from pipelines.evaluation.study.comparison.topics import bin_by_training
from pipelines.evaluation.study.rows import facts_found, replies
from pipelines.evaluation.study.rows.unseen import new_topic_rl
from pipelines.params import load_params
from pipelines.training.rewards import ProgramOutcome
from pmlm.settings import Settings
from tests.little_episodes import episode

EPISODES = [episode(i, "test") for i in range(12)]
WITH_FACTS = [e for e in EPISODES if e.facts]


def _rolled(e: Episode, **picks: tuple[str, ...]) -> Rollout:
    """A rollout whose log p is .1 per fact picked."""
    programs = {name: EditProgram(keys) for name, keys in picks.items()}
    found = {name: 0.1 * len(e.facts & set(p.picks)) for name, p in programs.items()}
    return Rollout(e, programs, {n: ProgramOutcome(Score(v, v), 8, v) for n, v in found.items()}, 0.0)


def _build_fact_rows(
    rolled: list[Rollout], bins: dict[str, str] | None = None, unspoken: dict[str, frozenset[str]] | None = None
) -> list[MetricRow]:
    """The rows of programs that are given, as three seeds of equal programs."""
    given = {(r.episode.question, r.episode.segments): r.programs for r in rolled}
    refiners = {name: _Given(name, {key: p[name] for key, p in given.items()}) for name in rolled[0].programs}
    others = [lambda: {"refined": refiners["refined"]}] * 2
    episodes = [r.episode for r in rolled]
    return facts_found.build_rows(episodes, refiners, others, "test", bins or {}, unspoken or {})


@dataclass
class _Given:
    """A refiner whose programs are given."""

    id: str
    programs: dict[tuple[str, tuple[Segment, ...]], EditProgram]

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return self.programs[question, segments]


def test_f1_and_its_differences_need_no_language_model_and_count_an_episode_once() -> None:
    rolled = [_rolled(e, refined=tuple(e.facts), ranking=(), minilm=()) for e in WITH_FACTS]
    rows = {row.name: row for row in _build_fact_rows(rolled)}
    assert rows["refined_f1"].value == 1.0
    assert rows["refined_f1"].holds
    assert not rows["ranking_f1"].holds
    assert rows["refined_f1_vs_ranking"].value == 1.0
    assert rows["refined_f1"].n == len(WITH_FACTS)
    assert rows["refined_f1"].seeds == 3
    assert rows["spread_refined_f1"].value == 0.0


def test_the_true_facts_are_chosen_within_the_caps_and_only_of_known_episodes() -> None:
    refiner = TrueFactsRefiner(Caps(1, 8), EPISODES)
    for e in WITH_FACTS:
        (pick,) = refiner.refine(e.question, e.segments).picks
        assert pick in e.facts
    assert refiner.refine("What else?", EPISODES[0].segments).picks == ()


def test_the_share_of_the_true_facts_gain_is_one_for_the_true_facts_and_none_for_nothing() -> None:
    for refined, share in ((True, 1.0), (False, 0.0)):
        rolled = [
            _rolled(e, refined=tuple(e.facts) if refined else (), facts=tuple(e.facts), none=()) for e in WITH_FACTS
        ]
        assert replies._facts_share_row(rolled, "test").value == pytest.approx(share)


def test_recall_and_wrong_picks_are_counted_by_kind() -> None:
    rolled = [_rolled(e, refined=(*e.facts, "no.thyroid"), ranking=(), minilm=()) for e in WITH_FACTS]
    rows = {row.name: row.value for row in _build_fact_rows(rolled)}
    assert rows["recall_of_condition"] == 1.0
    assert rows["wrong_picks_of_absent"] == 1.0
    assert rows["wrong_picks_of_condition"] == 0.0


def test_facts_that_no_sentence_reveals_are_reported_apart() -> None:
    e = max(WITH_FACTS, key=lambda e: len(e.facts))
    hidden, *spoken = sorted(e.facts)
    rolled = [_rolled(e, refined=tuple(spoken), ranking=(), minilm=())]
    rows = {row.name: row.value for row in _build_fact_rows(rolled, unspoken={e.episode_id: frozenset([hidden])})}
    assert rows["recall_of_unspoken_facts"] == 0.0
    if spoken:
        assert rows["refined_f1_of_spoken_facts"] == 1.0


def test_the_truth_of_a_reply_is_read_with_and_without_what_the_simulator_adds() -> None:
    line = {"facts": ["a", "b"], "sentences": [{"text": "A.", "facts": ["a"]}]}
    assert truth.parse_truth(line) == truth.ReplyTruth(frozenset("b"), "control")
    assert truth.parse_truth(line | {"unspoken": [], "mechanism": None}) == truth.ReplyTruth(frozenset(), "control")
    assert truth.parse_truth(line | {"mechanism": "shared_traits"}).peers == "planted"


def test_f1_is_given_by_how_many_training_episodes_a_topic_has() -> None:
    train = [episode(i, "train") for i in range(24)]
    topics = {e.episode_id: e.topic or "" for e in (*train, *EPISODES)}
    bins = bin_by_training(topics, train)
    assert {bins[e.episode_id] for e in EPISODES} == {"under_20"}
    rolled = [_rolled(e, refined=tuple(e.facts), ranking=(), minilm=()) for e in WITH_FACTS]
    rows = {row.name: row.value for row in _build_fact_rows(rolled, bins)}
    assert rows["topic_episodes_under_20_refined_f1"] == 1.0
    assert rows["topic_episodes_under_20_ranking_f1"] == 0.0
    assert "topic_episodes_80_and_over_refined_f1" not in rows


def test_left_out_topics_are_the_commonest_tested_and_leave_others_to_learn_from() -> None:
    tested = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["new"] * 9
    assert new_topic_rl.choose_topics(tested, ["a", "b", "c", "d", "e", "f"]) == {"a", "b", "c"}
    assert new_topic_rl.choose_topics(tested, ["a", "b"]) == {"a"}
    assert new_topic_rl.choose_topics(tested, ["a"]) == set()


def test_few_episodes_of_each_left_out_topic_are_chosen_in_a_fixed_order() -> None:
    train = [episode(i, "train") for i in range(60)]
    known = {e.episode_id: e.topic or "" for e in train}
    left_out = {train[0].topic or ""}
    few = new_topic_rl.choose_few(train, known, left_out)
    assert len(few) == new_topic_rl.EACH
    assert {known[e.episode_id] for e in few} == left_out
    assert new_topic_rl.choose_few(list(reversed(train)), known, left_out) == few


class Pick:
    """Always picks these keys."""

    id = "pick"

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return EditProgram(self.keys)


def test_a_matched_policy_uses_no_more_picks_or_tokens_than_the_other() -> None:
    policy = PolicyRefiner(Policy(PolicyConfig(8, 2, 30)), MiniLM(), "policy")
    e = max(EPISODES, key=lambda e: len(e.free))
    for count in range(3):
        other = Pick(*(s.key for s in e.free[:count]))
        made = MatchedRefiner(policy, other).refine(e.question, e.segments)
        assert len(made.picks) == count
        assert len(set(made.picks)) == count
    shorter = replace(e, segments=tuple(replace(s, tokens=8 if s.pinned else 30) for s in e.segments))
    assert len(MatchedRefiner(policy, Pick(shorter.free[0].key)).refine(e.question, shorter.segments).picks) == 1


@pytest.mark.parametrize(("count", "number", "reinforced"), [(150, 1, False), (60, 1, True), (60, 0, False)])
def test_another_seed_is_reinforced_where_a_night_would_be(
    count: int, number: int, reinforced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many readable replies to like questions need no RL; a new clinic does; seed 0 gives its warm start alone."""
    asked: list[seeds.TrainingRecipe] = []
    trained = SimpleNamespace(refined=Pick(), warm_start=Pick())
    monkeypatch.setattr(seeds, "train_or_load", lambda _, recipe, *rest: asked.append(recipe) or trained)
    settings = Settings(home=tmp_path, drops=tmp_path)
    train = [replace(e, specific=(True,) * len(e.reply)) for e in (episode(i, "train") for i in range(count))]
    reward = SimpleNamespace(scorer=SimpleNamespace(id="scorer"))
    seeds.train_seed(settings, number, [], train, load_params(settings), reward, MiniLM())  # type: ignore[arg-type]
    assert bool(asked[0].steps) is bool(asked[0].episodes) is reinforced
