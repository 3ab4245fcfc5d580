"""What every clinician would ask about stays in the prompt of a refiner that learnt from replies alone.

First on a clinic where every topic has many replies, then on the sample, which has five replies to tired patients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.encoder import MiniLM
from models.prompt.personalize import apply_program
from models.prompt.ranking import rank_segments
from models.refiner.featurizer import Featurizer
from models.refiner.inference import PolicyRefiner
from models.schema import Episode
from pipelines.evaluation.study.rows import behaviour
from pipelines.params import load_params
from pipelines.training import label_propagation, methods
from pmlm.settings import Settings
from tests.behaviour.training.invented_patients import invent_condition, invent_haemoglobin, invent_week
from tests.behaviour.training.sample_episodes import train_champion
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


TIRED = (behaviour.TIRED, "Always exhausted, what could it be?", "I feel so drained and weak, should I worry?")
INVENTED = 0.85  # of invented patients, whose brand names and other painkillers no reply of the sample mentions
PAINKILLER = (behaviour.IBUPROFEN, "May I take naproxen for my back?", "Is Advil all right for me?")
LEAST_PATIENTS = 60


class SampleClinic:
    """The sample's champion, which ranks and refines as the endpoint does."""

    def __init__(self, home: Path) -> None:
        self.encoder = MiniLM()
        self.refiner, self.ranker, episodes = train_champion(home, self.encoder)
        self.patients = list({e.subject_id: e for e in episodes}.values())

    def share_that_keeps(self, patients: Iterator[Episode], questions: Sequence[str], *keys: str) -> float:
        """The share of patients and questions whose prompt states one of ``keys``."""
        found = [bool(set(self.refine(e, q)) & set(keys)) for e in patients for q in questions]
        assert len(found) > LEAST_PATIENTS
        return sum(found) / len(found)

    def refine(self, patient: Episode, question: str) -> tuple[str, ...]:
        segments = rank_segments(question, patient.segments, self.encoder, self.ranker)
        return apply_program(segments, self.refiner.refine(question, segments))[1]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleClinic:
    return SampleClinic(tmp_path_factory.mktemp("sample"))


@pytest.mark.slow
def test_a_tired_patient_keeps_her_anaemia(sample: SampleClinic) -> None:
    patients = invent_condition(sample.patients, "anaemia")
    assert sample.share_that_keeps(patients, TIRED, "condition.anaemia") >= behaviour.TARGET


@pytest.mark.slow
def test_a_tired_patient_keeps_her_low_or_fallen_haemoglobin(sample: SampleClinic) -> None:
    low, fallen = (invent_haemoglobin(sample.patients, low=low) for low in (True, False))
    assert sample.share_that_keeps(low, TIRED, "haemoglobin.latest", "condition.anaemia") >= behaviour.TARGET
    assert sample.share_that_keeps(fallen, TIRED, "haemoglobin.change", "haemoglobin.latest") >= behaviour.TARGET


@pytest.mark.slow
@pytest.mark.parametrize("concept", ["asthma", "kidney_disease", "reflux"])
def test_a_question_on_a_painkiller_keeps_what_speaks_against_it(sample: SampleClinic, concept: str) -> None:
    patients = invent_condition(sample.patients, concept)
    assert sample.share_that_keeps(patients, PAINKILLER, f"condition.{concept}") >= INVENTED


@pytest.mark.slow
def test_a_question_on_a_painkiller_keeps_the_second_half_of_pregnancy(sample: SampleClinic) -> None:
    for patient in invent_week(sample.patients, (20, 27, 34)):
        prompt, _ = apply_program(patient.segments, sample.refiner.refine(PAINKILLER[0], patient.segments))
        assert next(s.text for s in patient.segments if s.key == "pregnancy") in prompt
