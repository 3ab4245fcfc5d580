"""A scorer that dies ends the training with its error; what it gave is cached, and the next run goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from models.reward.request_pool import ScorerError
from models.reward.terms import SentenceScores, Trial
from pipelines.episodes import episode_file
from pipelines.runs import request_training
from pipelines.training import rewards, scorer_choice, train
from pipelines.training.measured_set import choices_path
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from pmlm.storage import read_json
from tests.little_episodes import NIGHT, episode
from tests.unit.pipelines.training.test_training_methods import clinic


class Mortal:
    """A scorer that answers ``left`` trials and then no more."""

    id = "mortal"

    def __init__(self, left: int) -> None:
        self.left = left
        self.answered = 0

    def score_sentences(self, trials: list[Trial]) -> list[SentenceScores]:
        scored = [SentenceScores(tuple(-9.0 - len(s) / 99 for s in t.reply), (5,) * len(t.reply)) for t in trials]
        if len(trials) > self.left:
            raise ScorerError("connection refused", dict(enumerate(scored[: self.left])))
        self.left -= len(trials)
        self.answered += len(trials)
        return scored


@pytest.fixture
def settings(tmp_path) -> Settings:
    made = clinic(tmp_path, method="warm_start", gain_evaluations=60)
    episode_file.write_episodes(made, [episode(i, "train") for i in range(24)])
    return made


def _train(settings: Settings, scorer: Mortal, monkeypatch: pytest.MonkeyPatch, night: str = NIGHT) -> None:
    @contextmanager
    def opened(_: Settings) -> Iterator[tuple[Mortal, object]]:
        yield scorer, lambda cached: cached

    monkeypatch.setattr(scorer_choice, "open_scorer", opened)
    train.run(settings, night)


def test_a_dead_scorer_leaves_no_challenger_and_costs_no_score_twice(settings: Settings, monkeypatch) -> None:
    with pytest.raises(TrainingError, match="the scorer gave no answer: connection refused"):
        _train(settings, Mortal(20), monkeypatch)
    assert not (settings.models / "challenger").exists()
    assert not (settings.metrics / "train.json").exists()
    assert rewards.cache_path(settings).exists()
    chosen = choices_path(settings).read_bytes()
    healthy = Mortal(1000)
    _train(settings, healthy, monkeypatch)
    report = read_json(settings.metrics / "train.json")
    assert choices_path(settings).read_bytes() == chosen
    assert 0 < healthy.answered <= report["evaluations"] - 20
    assert report["measured"] > 0
    assert report["reading"]["read"] > 0


def test_a_rerun_gives_the_same_bytes_and_a_later_night_measures_more(settings: Settings, monkeypatch) -> None:
    _train(settings, Mortal(1000), monkeypatch)
    first, report = _files(settings), read_json(settings.metrics / "train.json")
    _train(settings, Mortal(0), monkeypatch)  # all cached: nothing is asked
    assert _files(settings) == first
    monkeypatch.setattr(train, "load_starting_policy", lambda *_: None)
    later = str(int(NIGHT) + 1)
    request_training(settings, later, "asked for")
    _train(settings, Mortal(1000), monkeypatch, later)
    assert read_json(settings.metrics / "train.json")["measured"] > report["measured"]


def _files(settings: Settings) -> dict[str, bytes]:
    folder = settings.models / "challenger"
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
