"""Guided examples stand for the replies that a clinic does not have yet, and for no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.encoder import MiniLM
from models.refiner.featurizer import Featurizer
from models.refiner.warm_start import WarmStartExample
from models.relevance.concerns import EXPECTED, load_concerns
from models.schema import Episode, Segment
from pipelines.training.guidance import ENOUGH, build_guided_examples

PRESENT, ABSENT = EXPECTED
FACTS = (
    Segment("pregnancy", "pinned", "She is 30 weeks pregnant.", pinned=True, tokens=7),
    Segment("condition.anaemia", "record", "Has anaemia", tokens=4),
    Segment("no.thyroid", "record", "No current thyroid disease on record", tokens=7),
    Segment("visits.recent", "behaviour", "2 visits in 3 months", tokens=7),
)
SLOTS = 16


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM()


def episode(patient: int, question: str = "Where can I park?", segments: tuple[Segment, ...] = FACTS) -> Episode:
    asked = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=patient)
    return Episode(f"e{patient}{question}", patient, asked, question, segments, ("Do this.",))


def build(episodes: list[Episode], encoder: MiniLM) -> tuple[list[WarmStartExample], list[str]]:
    """Build guided examples; return their questions beside them."""
    reader = Featurizer(encoder)
    examples = build_guided_examples(episodes, reader, SLOTS)
    texts = {row: text for text, row in reader._rows.items() if isinstance(text, str)}
    return examples, [texts[e.question] for e in examples]


def of_tiredness(questions: list[str]) -> list[str]:
    wordings = next(c.wordings for c in load_concerns() if c.name == "tiredness")
    return [q for q in questions if q in wordings]


def test_only_what_guidance_names_is_labelled_and_what_is_present_before_what_is_absent(encoder: MiniLM) -> None:
    examples, questions = build([episode(1)], encoder)
    (labels,) = (e.labels for e, q in zip(examples, questions, strict=True) if q in of_tiredness(questions))
    assert labels[1:3].tolist() == [PRESENT, ABSENT]
    assert np.isnan(labels[[0, 3]]).all()


def test_a_concern_has_fewer_guided_examples_the_more_replies_there_are(encoder: MiniLM) -> None:
    patients = [episode(i) for i in range(2 * ENOUGH)]
    for known in (0, 5, ENOUGH, ENOUGH + 9):
        asked = [replace(p, question="Why am I so tired?") for p in patients[:known]]
        _, questions = build([*asked, *patients[known:]], encoder)
        assert len(of_tiredness(questions)) == max(0, ENOUGH - known)


def test_each_finding_comes_in_turn_and_a_patient_once(encoder: MiniLM) -> None:
    kidney = Segment("condition.kidney_disease", "record", "Has chronic kidney disease", tokens=5)
    patients = [episode(i) for i in range(ENOUGH)] + [episode(99, segments=(*FACTS[:1], kidney))]
    examples, questions = build(
        [*patients, *(replace(p, episode_id=f"again{p.subject_id}") for p in patients)], encoder
    )
    tired = [e for e, q in zip(examples, questions, strict=True) if q in of_tiredness(questions)]
    assert len(tired) == ENOUGH
    assert sum(np.nanmax(e.labels) == PRESENT and len(e.rows) == 2 for e in tired) == 1


@pytest.mark.parametrize("segments", [(), FACTS[:1], FACTS[3:]])
def test_a_record_of_which_guidance_names_nothing_teaches_nothing(
    encoder: MiniLM, segments: tuple[Segment, ...]
) -> None:
    assert build([], encoder)[0] == []
    assert build([episode(1, segments=segments)], encoder)[0] == []
