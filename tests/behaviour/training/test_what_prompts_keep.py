"""What every clinician would ask about stays in the prompt of a refiner that learnt from replies alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.encoder import MiniLM
from models.refiner.featurizer import Featurizer
from models.refiner.inference import PolicyRefiner
from pipelines.evaluation.study.rows import behaviour
from pipelines.params import load_params
from pipelines.training import label_propagation, methods
from pmlm.settings import Settings
from tests.little_episodes import episode

TRAIN = [episode(i, "train") for i in range(150)]
TEST = [replace(episode(i, "test"), subject_id=i) for i in range(40)]


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> PolicyRefiner:
    """The night's own training without a reward: labels read off replies, then the warm start."""
    home = tmp_path_factory.mktemp("home")
    params, encoder = load_params(Settings(home=home, drops=home)), MiniLM()
    reader = Featurizer(encoder)
    prompts = methods.build_prompts(TRAIN, reader, params.slots)
    policy = methods.build_policy(params, 0)
    policy.pointer.set_table(reader.build_table())
    labels = label_propagation.propagate_labels([], TRAIN, encoder, params.slots)
    methods.fit_warm_start(policy, methods.build_examples(labels.gains, prompts), params.train, 0)
    return PolicyRefiner(policy, encoder, "refined")


@pytest.mark.parametrize("name", ["tired_keeps_anaemia", "ibuprofen_keeps_asthma", "ibuprofen_keeps_reflux"])
def test_a_prompt_keeps_what_matters_in_questions_never_asked_in_these_words(refined: PolicyRefiner, name: str) -> None:
    (row,) = (row for row in behaviour.build_rows(refined, TEST, "test") if row.name == name)
    assert row.n > 10
    assert row.value is not None
    assert row.value >= behaviour.TARGET
