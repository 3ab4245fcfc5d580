"""Episodes: which are chosen, how they are written, and what is cached between nights."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models.encoder import MiniLM
from models.reward.terms import SentenceScores
from models.schema import EditProgram, Segment
from pipelines.embedding_cache import CachedEncoder
from pipelines.episodes import episode_file
from pipelines.episodes.conversations import Exchange
from pipelines.episodes.ground_truth import read_ground_truth
from pipelines.episodes.stage import choose_exchanges, explain_hold, format_episode_id
from pipelines.params import EpisodesParams
from pipelines.training import gains, rewards
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import hash_files
from tests.little_episodes import PARAMS, PINNED, SPLITS, clinic, episode

PARAMS_OF_EPISODES = EpisodesParams(
    gate_share=0.25, test_share=0.25, time_quantile=0.6, free_segments=48, most_train=20, most_held_out=5
)
START = datetime(2025, 1, 1, tzinfo=UTC)


def _asked(count: int) -> list[Exchange]:
    return [
        Exchange(i + 1, -i - 1, i % 40, START + timedelta(days=i), f"Question {i}?", ("Yes.",), None)
        for i in range(count)
    ]


@given(st.integers(0, 300))
@hypothesis_settings(deadline=None)
def test_a_large_clinic_is_thinned_to_what_a_night_can_use(count) -> None:
    chosen = choose_exchanges(_asked(count), PARAMS_OF_EPISODES)
    per_split = [sum(split == s for _, split in chosen) for s in SPLITS]
    assert per_split[0] <= PARAMS_OF_EPISODES.most_train
    assert max(per_split[1:]) <= PARAMS_OF_EPISODES.most_held_out
    assert [e.asked for e, _ in chosen] == sorted(e.asked for e, _ in chosen)
    assert choose_exchanges(_asked(count)[::-1], PARAMS_OF_EPISODES) == chosen


def test_episodes_come_back_as_they_were_written_and_equal_ones_give_equal_bytes(tmp_path) -> None:
    written = [episode(i, split) for split in SPLITS for i in range(5)]
    first, second = (Settings(home=tmp_path / name, drops=tmp_path) for name in ("a", "b"))
    episode_file.write_episodes(first, written)
    episode_file.write_episodes(second, written[::-1])
    assert sorted(episode_file.read_episodes(first), key=lambda e: e.episode_id) == sorted(
        written, key=lambda e: e.episode_id
    )
    assert hash_files([first.episodes]) == hash_files([second.episodes])


def test_a_clinic_without_pairs_has_an_empty_file_and_a_reason(tmp_path) -> None:
    settings = Settings(home=tmp_path, drops=tmp_path)
    assert episode_file.read_episodes(settings) == []
    episode_file.write_episodes(settings, [])
    assert episode_file.read_episodes(settings) == []
    assert "no question-and-reply pairs" in explain_hold(0, 0)
    assert "5 question-and-reply pairs" in explain_hold(30, 5)
    assert explain_hold(100, 60) == ""


def test_what_a_simulator_knew_is_joined_by_the_reply(tmp_path) -> None:
    settings = Settings(home=tmp_path, drops=tmp_path)
    assert read_ground_truth(settings) == {}
    line = {"communication": "r1", "topic": "sleep", "facts": ["age", "smoking"], "sentences": []}
    (tmp_path / "facts.jsonl.gz").write_bytes(gzip.compress(json.dumps(line).encode()))
    truth = read_ground_truth(settings)[settings.pseudonym("Communication", "r1")]
    assert (truth.topic, truth.facts) == ("sleep", {"age", "smoking"})


def test_a_vector_is_computed_once_and_no_text_is_kept(tmp_path) -> None:
    class Counting(MiniLM):
        asked = 0

        def encode(self, texts):
            self.asked += len(texts)
            return super().encode(texts)

    inner, texts = Counting(), ["She has asthma.", "She smokes.", "She has asthma."]
    cached = CachedEncoder(inner, tmp_path / "vectors.parquet", "minilm")
    first = cached.encode(texts)
    cached.save()
    again = CachedEncoder(inner, tmp_path / "vectors.parquet", "minilm")
    assert np.array_equal(again.encode(texts), first)
    assert np.array_equal(first, MiniLM().encode(texts))
    assert inner.asked == 2
    assert b"asthma" not in (tmp_path / "vectors.parquet").read_bytes()
    assert CachedEncoder(inner, tmp_path / "vectors.parquet", "another").encode([]).shape == (0, 384)


def test_an_episode_id_is_made_of_its_record_alone() -> None:
    assert format_episode_id(_asked(1)[0]) == "0000000000000001"


@given(st.integers(0, 400))
def test_episodes_are_measured_within_the_budget_and_in_an_order_of_their_own(budget) -> None:
    chosen = gains.select_affordable([episode(i, "train") for i in range(24)], budget, slots=7)
    assert sum(gains.count_evaluations(e, slots=7) for e in chosen) <= budget
    assert chosen == gains.select_affordable([episode(i, "train") for i in range(24)][::-1], budget, slots=7)


class _Additive:
    """An exact scorer: a reply is likelier by each of its facts in the prompt."""

    id = "additive"

    def __init__(self, worth: dict[str, float]) -> None:
        self.worth = worth
        self.asked = 0

    def score_sentences(self, trials):
        self.asked += len(trials)
        sums = [sum(value for text, value in self.worth.items() if text in t.prompt) for t in trials]
        return [SentenceScores((total,), (1,)) for total in sums]


@given(st.integers(1, 50), st.sets(st.integers(0, 49), max_size=3))
@hypothesis_settings(deadline=None, max_examples=12)
def test_facts_that_help_are_told_from_sentences_that_move_a_reply_by_chance(count, helpful) -> None:
    free = tuple(Segment(f"k{i:02d}", "record", f"Fact {i:02d}.", tokens=5) for i in range(count))
    one = replace(episode(0, "train"), segments=(*PINNED, *free), reply=("Yes.",), specific=(True,))
    chance = 0.02 * np.random.default_rng(count).uniform(-1, 1, count)
    worth = {f"Fact {i:02d}.": 0.9 if i in helpful else chance[i] for i in range(count)}
    scorer = _Additive(worth)
    measured = gains.measure_gains(rewards.Rewards(scorer, price=0.003), one, slots=count + len(PINNED))
    assert scorer.asked == gains.count_evaluations(one, slots=count + len(PINNED))
    pinned, free = measured.gains[: len(PINNED)], measured.gains[len(PINNED) :]
    assert np.isnan(pinned).all()
    assert np.isnan(measured.useful[: len(PINNED)]).all()
    assert free == pytest.approx(np.array(list(worth.values())) - 0.015)
    if count > 9:
        useful = {i for i, gain in enumerate(measured.useful[len(PINNED) :]) if gain > 0.1}
        assert useful == {i for i in helpful if i < count}
        idle = [gain for i, gain in enumerate(measured.useful[len(PINNED) :]) if i not in useful]
        assert np.median(idle) == pytest.approx(-0.015, abs=0.02)


def test_the_validity_of_gains_is_their_auc_within_an_episode() -> None:
    one = next(e for e in (episode(i, "train") for i in range(24)) if e.facts and len(e.free) > len(e.facts))
    sharp = np.array([np.nan if s.pinned else float(s.key in one.facts) for s in one.segments])
    measured = gains.EpisodeGains(one, one.segments, sharp, sharp, np.zeros(3))
    assert gains.compute_gain_auc([measured]) == 1.0
    assert gains.compute_gain_auc([gains.EpisodeGains(one, one.segments, -sharp, sharp, np.zeros(3))]) == 0.0
    assert gains.compute_gain_auc([gains.EpisodeGains(one, one.segments, 0 * sharp, sharp, np.zeros(3))]) == 0.5
    assert gains.compute_gain_auc([]) is None


def test_one_unit_of_scoring_is_bounded_so_that_it_is_kept_whole(tmp_path) -> None:
    reward = rewards.Rewards(scorer=None, price=0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at most"):
        reward.outcomes([(episode(0, "train"), EditProgram(()))] * (rewards.LARGEST_UNIT + 1))


def test_exported_scores_are_all_that_is_known_and_stand_in_for_scoring(tmp_path) -> None:
    settings = clinic(tmp_path / "home", {"train": {"gain_evaluations": 0, "grpo_steps": 0}})
    with pytest.raises(TrainingError, match="no scores yet"):
        rewards.export_scores(settings, tmp_path / "out.parquet")
    cases = [(episode(i, "train"), EditProgram(())) for i in range(2)]
    with rewards.open_rewards(settings, PARAMS["train"].get("token_price", 0.003)) as reward:
        first = reward.outcomes(cases)
    shipped = settings.drops / rewards.SHIPPED
    assert rewards.export_scores(settings, shipped) == 2
    rewards.cache_path(settings).unlink()
    pl.read_parquet(shipped).drop("episode").write_parquet(shipped)  # a file of before that column
    assert rewards.export_scores(settings, shipped) == 2
    with rewards.open_rewards(settings, 0.003) as reward:
        assert reward.outcomes(cases) == first
    assert not rewards.cache_path(settings).exists()
