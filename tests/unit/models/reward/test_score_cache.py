"""A score is paid for once, survives a kill, and comes back as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.reward.embedded_scorer import EmbeddedScorer
from models.reward.score_cache import CachedScorer, ScoreCache, hash_episode, hash_trial, remove_episodes
from models.reward.terms import SentenceScores, Trial

TRIAL = Trial("Prompt.", "Question?", ("One.", "Two."), (True, False))
texts = st.text(max_size=6)


class Counting:
    """A scorer that scores any trial, counts calls, and may die halfway."""

    id = "counting"

    def __init__(self, dies_after: int | None = None) -> None:
        self.asked = 0
        self.dies_after = dies_after

    def score_sentences(self, trials: Sequence[Trial]) -> list[SentenceScores]:
        self.asked += len(trials)
        if self.dies_after is not None and self.asked > self.dies_after:
            raise RuntimeError("killed")
        return [SentenceScores((-float(len(t.prompt)),) * len(t.reply), (3,) * len(t.reply)) for t in trials]


def _trials(n: int) -> list[Trial]:
    return [replace(TRIAL, prompt="p" * (i + 1)) for i in range(n)]


def test_a_repeated_trial_is_scored_once(tmp_path: Path) -> None:
    counting, cache = Counting(), ScoreCache(tmp_path / "s.parquet")
    scorer = CachedScorer(counting, cache)
    first = scorer.score_sentences([TRIAL, TRIAL])
    second = scorer.score_sentences([TRIAL])
    assert first == [*second, *second]
    assert (counting.asked, cache.hits, cache.misses) == (1, 1, 1)


def test_a_new_process_finds_what_an_old_one_paid_for(tmp_path: Path) -> None:
    CachedScorer(Counting(), ScoreCache(tmp_path / "s.parquet")).score_sentences(_trials(5))
    again = Counting()
    found = CachedScorer(again, ScoreCache(tmp_path / "s.parquet")).score_sentences(_trials(5))
    assert again.asked == 0
    assert found == Counting().score_sentences(_trials(5))


def test_a_scorer_that_dies_halfway_resumes_without_double_cost(tmp_path: Path) -> None:
    dying = CachedScorer(Counting(dies_after=4), ScoreCache(tmp_path / "s.parquet"), save_every=2)
    with pytest.raises(RuntimeError, match="killed"):
        dying.score_sentences(_trials(8))
    resumed = Counting()
    CachedScorer(resumed, ScoreCache(tmp_path / "s.parquet"), save_every=2).score_sentences(_trials(8))
    assert resumed.asked == 4


def test_layers_are_read_and_never_written(tmp_path: Path) -> None:
    CachedScorer(Counting(), ScoreCache(tmp_path / "layer.parquet")).score_sentences(_trials(3))
    before = (tmp_path / "layer.parquet").read_bytes()
    counting = Counting()
    cache = ScoreCache(tmp_path / "own.parquet", layers=[tmp_path / "layer.parquet", tmp_path / "absent.parquet"])
    CachedScorer(counting, cache).score_sentences(_trials(4))
    assert counting.asked == 1
    assert len(cache) == 4
    assert pq.read_table(tmp_path / "own.parquet").num_rows == 1
    assert (tmp_path / "layer.parquet").read_bytes() == before


def test_the_same_scores_make_the_same_file_in_any_order(tmp_path: Path) -> None:
    CachedScorer(Counting(), ScoreCache(tmp_path / "a.parquet")).score_sentences(_trials(6))
    CachedScorer(Counting(), ScoreCache(tmp_path / "b.parquet")).score_sentences(_trials(6)[::-1])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_the_file_holds_hashes_and_no_text(tmp_path: Path) -> None:
    secret = replace(TRIAL, prompt="canary-4711", question="canary-4711", reply=("canary-4711",))
    CachedScorer(Counting(), ScoreCache(tmp_path / "s.parquet")).score_sentences([secret])
    assert b"canary" not in (tmp_path / "s.parquet").read_bytes()


@given(a=st.tuples(texts, texts, st.lists(texts, max_size=3)), b=st.tuples(texts, texts, st.lists(texts, max_size=3)))
def test_only_equal_trials_share_a_key(a: tuple, b: tuple) -> None:
    first, second = (Trial(p, q, tuple(r), (True,) * len(r)) for p, q, r in (a, b))
    assert (hash_trial("s", first) == hash_trial("s", second)) == (a == b)
    assert hash_trial("s", first) != hash_trial("other scorer", first)


def test_a_cached_score_equals_the_score_computed_again(tmp_path: Path, scorer: EmbeddedScorer) -> None:
    trials = [replace(TRIAL, prompt=f"You answer a patient. She is {age} years old.") for age in range(30, 34)]
    CachedScorer(scorer, ScoreCache(tmp_path / "s.parquet")).score_sentences(trials)
    cached = CachedScorer(Counting(), ScoreCache(tmp_path / "s.parquet"))
    cached.id = scorer.id
    for saved, fresh in zip(cached.score_sentences(trials), scorer.score_sentences(trials), strict=True):
        assert saved.counts == fresh.counts
        assert saved.sums == pytest.approx(fresh.sums, abs=1e-4)


def test_the_scores_of_an_episode_are_removed_and_no_others(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "scores.parquet")
    mine = hash_episode("mine?", ("Yes.", "No."))
    owners = {
        b"a" * 32: mine,
        b"b" * 32: hash_episode("other?", ("Yes.",)),
        b"c" * 32: hash_episode("other?", ("Yes.", "No.")),
        b"d" * 32: hash_episode("mine?", ("Well.",)),
        b"e" * 32: None,
    }
    for key, episode in owners.items():
        cache.put(key, SentenceScores((-1.0,), (2,)), episode)
    cache.flush()
    assert remove_episodes(cache.path, [mine]) == 4
    left = ScoreCache(cache.path)
    assert [key for key in owners if left.get(key)] == [b"b" * 32]
    assert remove_episodes(cache.path, [mine]) == 0
