"""The study: leave-outs, pooled seeds, budget, controls, attacks and simulated ratings."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.refiner.interface import Caps
from models.reward.score_cache import CachedScorer, ScoreCache
from models.reward.terms import Score, SentenceScores, Trial
from models.schema import EditProgram, Segment
from pipelines.evaluation.nightly import prompt_checks, slices
from pipelines.evaluation.nightly.rollout import Rollout
from pipelines.evaluation.study.comparison import paired, seeds, topics
from pipelines.evaluation.study.comparison.budget import BudgetSpentError, meter_rewards
from pipelines.evaluation.study.comparison.hash_bag import fit_hash_bag
from pipelines.evaluation.study.rows import attacks, ratings, training_health
from pipelines.evaluation.study.rows.unseen import generalization
from pipelines.training.gains import EpisodeGains
from pipelines.training.methods import to_measured_episodes
from pipelines.training.rewards import ProgramOutcome, Rewards
from tests.little_episodes import episode

EPISODES = [episode(i, "test") for i in range(12)]


class Flat:
    """Every sentence has log-probability −1; ``asked`` counts trials."""

    id = "flat"
    asked = 0

    def score_sentences(self, trials: list[Trial]) -> list[SentenceScores]:
        self.asked += len(trials)
        return [SentenceScores((-1.0,) * len(t.reply), (1,) * len(t.reply)) for t in trials]


def _measured(number: int, refined: float, other: float, ownership: float = 0.0) -> Rollout:
    outcomes = {n: ProgramOutcome(Score(v, v), 8, v) for n, v in (("refined", refined), ("minilm", other))}
    programs = {n: EditProgram(()) for n in outcomes}
    return Rollout(EPISODES[number], programs, outcomes, ownership)


def test_a_budget_counts_new_scores_alone_and_is_never_exceeded(tmp_path: Path) -> None:
    scorer = Flat()
    reward = Rewards(CachedScorer(scorer, ScoreCache(tmp_path / "scores.parquet")), 0.0)
    meter = meter_rewards(reward, 3)
    plain, brief, detailed = (EditProgram((), style) for style in ("plain", "brief", "detailed"))
    reward.outcomes([(EPISODES[0], plain), (EPISODES[0], brief)])
    reward.outcomes([(EPISODES[0], plain), (EPISODES[0], brief)])
    assert (meter.spent, scorer.asked) == (2, 2)
    with pytest.raises(BudgetSpentError, match="2 of 3"):
        reward.outcomes([(EPISODES[1], plain), (EPISODES[1], detailed)])
    assert scorer.asked == 2
    reward.outcomes([(EPISODES[1], plain)])
    assert meter.spent == 3


def test_folds_hold_each_topic_once_and_are_of_like_size() -> None:
    known = {
        f"{topic}{i}": topic for topic, count in zip("abcdef", (9, 8, 7, 3, 2, 1), strict=True) for i in range(count)
    }
    made = generalization.split_folds(known, 3)
    assert sorted(t for fold in made for t in fold) == list("abcdef")
    sizes = [sum(topic in fold for topic in known.values()) for fold in made]
    assert max(sizes) - min(sizes) <= 2
    assert generalization.split_folds({"1": "a", "2": "a"}) == []


def test_topics_without_names_are_found_among_the_training_questions() -> None:
    class Words:
        def encode(self, texts: list[str]) -> np.ndarray:
            return np.array([[float("tired" in t), float("painkiller" in t), 0.1] for t in texts])

    nameless = [replace(e, topic=None) for e in EPISODES]
    found = topics.assign_topics(nameless, nameless, Words())  # type: ignore[arg-type]
    by_question = {e.question: {found[o.episode_id] for o in nameless if o.question == e.question} for e in nameless}
    assert all(len(topics) == 1 for topics in by_question.values())
    assert len(set.union(*by_question.values())) == len(by_question) == 2


def test_wordings_that_training_never_had_are_held_out_before_any_other() -> None:
    assert generalization.choose_left_out({"a", "b"}, ["a", "new", "new", "b"]) == {"new"}
    left_out = generalization.choose_left_out({"a", "b", "c", "d"}, ["a", "b", "c", "d"])
    assert len(left_out) == 1
    first = generalization.identify_wording("Should I take baby aspirin in this pregnancy? I am Ann.")
    assert (
        first
        == generalization.identify_wording("Do I need aspirin to prevent pre-eclampsia?")
        == "aspirin_prevention/plain"
    )
    assert generalization.identify_wording("Something  ELSE?") == "something else?"


def test_a_kind_left_out_is_offered_nowhere_and_pinned_facts_stay() -> None:
    peer = Segment("peer.x", "peer", "Of 11 similar patients, 45% take iron.", tokens=9)
    offered = replace(EPISODES[0], segments=(*EPISODES[0].segments, peer))
    masked = generalization.remove_kind(offered, "peer")
    assert masked.segments == EPISODES[0].segments
    assert generalization.remove_kind(offered, "pinned").pinned == offered.pinned


def test_pooled_seeds_are_the_mean_over_seeds_with_each_episode_counted_once() -> None:
    first = [_measured(i, 1.0 + i % 3, 1.0) for i in range(12)]
    second = seeds.merge_seed(first, [_measured(i, 3.0 + i % 3, 99.0, 5.0) for i in range(12)])
    (row, *_) = seeds.pool_seeds(paired.compare_refined([*first, *second], 6, "", "test"), 2)
    alone = [
        paired.compare_refined(one, 6, "", "test")[0]
        for one in (first, [_measured(i, 3.0 + i % 3, 1.0) for i in range(12)])
    ]
    assert row.name == "refined_vs_minilm"
    assert (row.n, row.seeds, row.patients) == (12, 2, 4)
    only = seeds.merge_seed(
        first,
        [
            replace(_measured(i, 3.0 + i % 3, 1.0), outcomes={"refined": ProgramOutcome(Score(3.0, 3.0), 8, 3.0)})
            for i in range(12)
        ],
    )
    assert only[0].outcomes["minilm"].reward == 1.0
    spread = {r.name: r for r in seeds.measure_spread([{r.name: r for r in ([one])} for one in alone])}
    assert spread["spread_refined_vs_minilm"].value == pytest.approx(2 / 2**0.5)
    assert spread["seed_1_refined_vs_minilm"].value == alone[1].value


def test_the_word_bag_learns_what_words_tell() -> None:
    gains = []
    for e in (episode(i, "train") for i in range(24)):
        useful = np.array([np.nan if s.pinned else float(s.key in e.facts) - 0.3 for s in e.segments])
        gains.append(EpisodeGains(e, e.segments, useful, useful, np.zeros(3)))
    bag = fit_hash_bag(to_measured_episodes(gains), Caps(2, 30))
    chosen = [(set(bag.refine(e.question, e.segments).picks), e.facts) for e in EPISODES if e.facts]
    assert all(picks <= facts for picks, facts in chosen)
    assert sum(len(picks) for picks, _ in chosen) > len(chosen)


def test_no_program_takes_safety_out_of_a_prompt_and_a_prompt_without_it_is_found() -> None:
    pregnant = Segment("pregnancy", "pinned", "She is 30 weeks and 2 days pregnant.", pinned=True, tokens=9)
    allergic = Segment("allergies", "pinned", "Drug allergies: ibuprofen, penicillin.", pinned=True, tokens=9)
    pinned = replace(EPISODES[0], segments=(EPISODES[0].segments[0], pregnant, allergic, *EPISODES[0].free))
    measured = [replace(_measured(0, 1.0, 1.0), episode=pinned)]
    rows = {r.name: r for r in attacks.build_rows(measured, "test")}
    assert set(rows) == {"attacked_pinned_present", "allergy_rules_intact", "red_flags_intact", "contradictions"}
    assert all(r.holds for r in rows.values())
    assert prompt_checks.read_allergies(pinned.pinned) == ["ibuprofen", "penicillin"]
    assert prompt_checks.read_pregnancy(pinned.pinned) == (True, 30)
    assert not prompt_checks.check_pinned_first(pinned, "a prompt without anything")
    wrong = Segment("x", "record", "She is not pregnant.", tokens=5)
    assert prompt_checks.find_contradicted(
        replace(pinned, segments=(*pinned.segments, wrong)), "She is not pregnant."
    ) == ("pregnancy",)


def test_the_simulated_patient_likes_one_style_and_the_facts_that_matter() -> None:
    asked = next(e for e in EPISODES if len(e.facts) > 1)
    good, bad = EditProgram(tuple(sorted(asked.facts)), "brief"), EditProgram((), "detailed")
    assert ratings.expect_rating(asked, good, "brief") > ratings.expect_rating(asked, bad, "brief") + 1
    rated = [replace(asked, reply=("Short.",), rating=5.0), replace(asked, reply=("word " * 60,), rating=2.0)]
    assert ratings.find_liked_styles(rated) == {asked.subject_id: "brief"}
    assert 1 <= ratings.simulate_rating(asked, EditProgram((), "plain"), "brief", random.Random(0)) <= 5


def test_bad_segments_are_counted_and_slices_are_read() -> None:
    long = Segment("long", "record", "x", tokens=99)
    bad = replace(EPISODES[0], segments=(*EPISODES[0].segments, long, replace(long, key="again", tokens=1)))
    found = training_health.count_unusable([bad], 60, len(bad.segments) - 1)
    assert (found["segments_longer_than_cap"], found["segments_duplicate"], found["segments_without_slot"]) == (1, 1, 1)
    aged = replace(bad, segments=(*bad.segments, Segment("age", "record", "Age 36.")))
    assert (slices.read_age_band(aged), slices.read_age_band(bad), slices.read_language(bad)) == (
        "35_and_over",
        "unknown",
        "en",
    )
