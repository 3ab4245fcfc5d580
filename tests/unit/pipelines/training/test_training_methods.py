"""Each ``train.method`` trains a challenger that the endpoint can load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.encoder import MiniLM
from models.refiner import checkpoint
from models.reward.terms import SentenceScores, Trial
from pipelines.embedding_cache import CachedEncoder, open_encoder
from pipelines.params import Params, load_params
from pipelines.training import methods, train
from pipelines.training.rewards import Rewards
from pmlm.errors import SettingsError
from pmlm.settings import Settings
from tests.little_episodes import NIGHT, PARAMS, episode

EPISODES = [episode(i, "train") for i in range(24)]
FACTS = {s.text: s.key for e in EPISODES for s in e.free}


class Facts:
    """A scorer by which a reply is likelier the more facts the prompt has."""

    id = "facts"

    def score_sentences(self, trials: list[Trial]) -> list[SentenceScores]:
        return [SentenceScores((self.worth(t),) * len(t.reply), (1,) * len(t.reply)) for t in trials]

    @staticmethod
    def worth(trial: Trial) -> float:
        (known,) = [e for e in EPISODES if (e.question, e.reply) == (trial.question, trial.reply)][:1]
        stated = sum(text in trial.prompt for text, key in FACTS.items() if key in known.facts)
        return -4.0 + 0.5 * stated


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return load_params(clinic(tmp_path))


def clinic(home: Path, **train_params: object) -> Settings:
    drops = home / "drops"
    drops.mkdir(parents=True)
    known = PARAMS | {"train": PARAMS["train"] | train_params}
    (drops / "clinic.yaml").write_text(yaml.safe_dump({"name": "little", "hash_key": "public", "params": known}))
    return Settings(home=home, drops=drops)


def with_train_params(params: Params, **values: object) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update=values)})


@pytest.fixture
def encode(tmp_path: Path) -> Iterator[CachedEncoder]:
    with open_encoder(Settings(home=tmp_path / "vectors")) as cached:
        yield cached


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_makes_a_challenger_that_can_be_loaded_and_repeated(
    method: str, params: Params, encode: CachedEncoder, tmp_path: Path
) -> None:
    params = with_train_params(params, method=method, samples=4, gain_evaluations=120)
    made, ids = [], set()
    for folder in (tmp_path / "one", tmp_path / "two"):
        reward = Rewards(Facts(), 0.001)  # type: ignore[arg-type]
        made.append(train.train(train.TrainingJob(EPISODES, params, NIGHT, reward, encode, folder)))
        ids.add(checkpoint.read_description(folder)["id"])
        assert reward.asked == made[-1].evaluations
        assert next(iter(ids)) in (folder / checkpoint.CARD).read_text()
        assert f"| method | {method} |" in (folder / checkpoint.CARD).read_text()
    assert len(ids) == 1
    kind = method if method in methods.BY_GAIN else "policy"
    assert checkpoint.read_description(tmp_path / "one")["kind"] == kind
    refiner = checkpoint.load_refiner(tmp_path / "one", MiniLM())
    limits = params.caps
    for e in EPISODES:
        program = refiner.refine(e.question, e.segments)
        assert len(program.picks) <= limits.picks
        assert set(program.picks) <= {s.key for s in e.free}
    on_top = PARAMS["train"]["grpo_steps"] * PARAMS["train"]["batch"]
    gains = made[0].evaluations - (on_top if method in (methods.GRPO, methods.BEST_OF_K) else 0)
    assert 0 < gains <= 120
    assert train.round_metrics(made[0])["start"] in ("warm start", "single gains")


def test_grpo_and_best_of_k_ask_for_equally_many_rewards(params: Params, encode: CachedEncoder, tmp_path: Path) -> None:
    spent = {}
    for method in (methods.GRPO, methods.BEST_OF_K):
        reward = Rewards(Facts(), 0.001)  # type: ignore[arg-type]
        changed = with_train_params(params, method=method, samples=4)
        job = train.TrainingJob(EPISODES, changed, NIGHT, reward, encode, tmp_path / method)
        spent[method] = train.train(job).evaluations
    assert len(set(spent.values())) == 1


def test_an_unknown_method_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"params.train.method is 'magic'; it may be grpo, warm_start, best_of_k"):
        load_params(clinic(tmp_path, method="magic"))


def test_gain_refiners_pick_what_gains_support(encode: CachedEncoder) -> None:
    from pipelines.training import gains

    reward = Rewards(Facts(), 0.001)  # type: ignore[arg-type]
    measured = [gains.measure_gains(reward, e, 8) for e in EPISODES[:16]]
    limits = load_params(Settings()).caps
    for method in methods.BY_GAIN[1:]:
        refiner = methods.fit_gain_refiner(method, measured, limits, encode)
        hits = [k in e.facts for e in EPISODES[16:] for k in refiner.refine(e.question, e.segments).picks]
        assert np.mean(hits) > 0.6
