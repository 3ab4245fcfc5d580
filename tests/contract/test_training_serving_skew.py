"""What is served is what was trained: the endpoint's prompt equals the one computed offline, at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from bentos.personalizer import release
from models.encoder import MiniLM
from models.llm import make_token_counter
from models.prompt.personalize import Personalized, personalize
from models.prompt.ranker_file import load_ranker
from models.refiner import checkpoint
from pipelines.features.build import historical_rows
from pipelines.packaging import serving
from pmlm.api_types import PersonalizeResponse
from pmlm.settings import Settings
from tests.contract.three_women import ADA, BEA, CLEO

if TYPE_CHECKING:
    from starlette.testclient import TestClient

QUESTIONS = ("Is it normal to feel this tired?", "May I take ibuprofen?", "How is my blood?")


def computed_offline(settings: Settings, patient: str, question: str) -> Personalized:
    """The same question through Feast's historical features, as training's episodes are made."""
    as_of = settings.now()
    entities = pd.DataFrame({"subject_id": [settings.subject_id(patient)], "event_timestamp": [pd.Timestamp(as_of)]})
    row = historical_rows.read_rows(settings, entities).iloc[0].to_dict()
    encoder = MiniLM()
    folder = serving.current_release(settings)
    refiner = checkpoint.load_refiner(folder / release.REFINER, encoder)
    ranker = load_ranker(folder / release.RANKER)
    count, subject = make_token_counter(settings.embedded_llm), settings.subject_id(patient)
    return personalize(row, question, as_of, refiner, encoder, count, ranker=ranker, subject_id=subject)


@pytest.mark.parametrize("patient", [ADA, BEA, CLEO])
@pytest.mark.parametrize("question", QUESTIONS)
def test_prompt_and_segments_online_equal_those_offline(
    client: TestClient, settings: Settings, patient: str, question: str
) -> None:
    request = {"patient": patient, "question": question, "language": "en"}
    served = PersonalizeResponse.model_validate(client.post("/personalize", json=request).json())
    trained = computed_offline(settings, patient, question)
    assert served.prompt == trained.prompt
    assert served.initial_prompt == trained.initial
    assert [(s.key, s.text, tuple(s.sources)) for s in served.segments] == [
        (s.key, s.text, s.sources) for s in trained.segments
    ]
    assert tuple(served.program.picks) == trained.program.picks
