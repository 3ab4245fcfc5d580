"""Behaviour rows: a tired patient with anaemia keeps it; a question on ibuprofen keeps what speaks against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.refiner.baselines import EmptyRefiner, FullRefiner
from models.schema import EditProgram, Episode, Segment
from pipelines.evaluation.study.comparison.fact_kinds import KINDS, read_fact_kind
from pipelines.evaluation.study.rows import behaviour
from tests.little_episodes import episode

SEGMENTS = (
    Segment("safety", "pinned", "Call for help in an emergency.", pinned=True),
    Segment("pregnancy", "pinned", "She is 24 weeks and 3 days pregnant.", pinned=True),
    Segment("haemoglobin.latest", "record", "Haemoglobin 9.8 g/dL a week ago."),
    Segment("no.thyroid", "record", "No current thyroid disease on her record."),
    Segment("condition.asthma", "record", "She has asthma."),
    Segment("condition.kidney_disease", "record", "She has kidney disease."),
    Segment("condition.reflux", "record", "She has acid reflux."),
)
PATIENT = replace(episode(0, "test"), segments=SEGMENTS)


class OneKey:
    """Always picks one key."""

    id = "one"

    def __init__(self, key: str) -> None:
        self.key = key

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return EditProgram((self.key,))


def _values(refiner: object, patient: Episode = PATIENT) -> dict[str, float | None]:
    rows = behaviour.build_rows(refiner, [patient], "test")  # type: ignore[arg-type]
    return {row.name: row.value for row in rows}


def test_everything_is_kept_by_the_whole_record_and_only_the_pinned_by_none() -> None:
    assert set(_values(FullRefiner()).values()) == {1.0}
    assert {name for name, value in _values(EmptyRefiner()).items() if value} == {"ibuprofen_keeps_20_weeks"}


def test_an_irrelevant_absence_does_not_stand_in_for_the_anaemia() -> None:
    assert _values(OneKey("no.thyroid"))["tired_keeps_anaemia"] == 0.0
    assert _values(OneKey("haemoglobin.latest"))["tired_keeps_anaemia"] == 1.0


@pytest.mark.parametrize(
    ("key", "text", "has"),
    [
        ("haemoglobin.latest", "Haemoglobin 10.9 g/dL today.", True),
        ("haemoglobin.latest", "Haemoglobin 12.9 g/dL today.", False),
        ("condition.anaemia", "She has anaemia.", True),
        ("no.anaemia", "No anaemia on her record.", False),
    ],
)
def test_who_has_anaemia_is_read_from_the_record(key: str, text: str, has: bool) -> None:
    assert behaviour.states_anaemia(Segment(key, "record", text)) is has


@pytest.mark.parametrize(
    ("key", "text", "fell"),
    [
        ("haemoglobin.change", "Haemoglobin fell 1.6 g/dL in 10 weeks, unusual for her", True),
        ("haemoglobin.change", "Haemoglobin fell 0.6 g/dL in 10 weeks", False),
        ("haemoglobin.change", "Haemoglobin rose 1.6 g/dL in 10 weeks", False),
        ("weight.change", "Weight fell 1.6 g/dL in 10 weeks", False),
    ],
)
def test_a_large_fall_is_read_from_the_change(key: str, text: str, fell: bool) -> None:
    assert behaviour.states_fall(Segment(key, "change", text)) is fell


def test_a_fallen_haemoglobin_is_asked_about_alone_and_an_absence_does_not_stand_in_for_it() -> None:
    fall = Segment("haemoglobin.change", "change", "Haemoglobin fell 1.6 g/dL in 10 weeks, unusual for her")
    normal = Segment("haemoglobin.latest", "record", "Haemoglobin 11.2 g/dL a week ago.")
    fallen = replace(PATIENT, segments=(*SEGMENTS[:2], normal, fall, *SEGMENTS[3:]))
    name = "tired_keeps_fallen_haemoglobin"
    assert name not in _values(FullRefiner())
    keys = ("haemoglobin.change", "haemoglobin.latest", "no.thyroid")
    assert [_values(OneKey(key), fallen)[name] for key in keys] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "second_half"),
    [
        ("She is 20 weeks pregnant.", True),
        ("She is 19 weeks and 6 days pregnant.", False),
        ("She is not pregnant; her last pregnancy ended 30 weeks ago.", False),
        ("Whether she is pregnant is not known.", False),
    ],
)
def test_the_second_half_of_a_pregnancy_is_read_from_the_pinned_week(text: str, second_half: bool) -> None:
    assert behaviour.states_second_half(Segment("pregnancy", "pinned", text, pinned=True)) is second_half


def test_a_case_that_no_record_has_makes_no_row() -> None:
    assert _values(FullRefiner(), replace(PATIENT, segments=SEGMENTS[:1])) == {}


def test_every_key_has_a_kind_of_fact() -> None:
    keys = ("no.asthma", "medicines.none", "weight.change", "bmi.latest", "condition.clot", "medicine.iron", "smoking")
    assert [read_fact_kind(key) for key in keys] == [
        "absent", "absent", "change", "value", "condition", "medicine", "other",
    ]  # fmt: skip
    assert {read_fact_kind(key) for key in keys} == set(KINDS)
