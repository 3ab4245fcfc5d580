"""One path from row and question to the refined prompt, safe from any policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.encoder import MiniLM
from models.prompt.candidates import build_candidates
from models.prompt.personalize import Personalized, apply_program, personalize
from models.refiner.baselines import RankingRefiner
from models.refiner.interface import STYLES, Caps
from models.schema import EditProgram, Segment
from tests.unit.models.feature_rows import AS_OF, feature_rows

lenient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _words(text: str) -> int:
    return len(text.split())


@dataclass
class Fixed:
    """A refiner that says always the same."""

    program: EditProgram
    id: str = "fixed"

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        return self.program


@lenient
@given(row=feature_rows(), style=st.sampled_from(STYLES), data=st.data())
def test_no_program_can_drop_a_pinned_fact_or_add_a_foreign_one(
    row: dict[str, Any], style: str, data: st.DataObject
) -> None:
    segments = build_candidates(row, AS_OF, _words)
    keys = st.sampled_from([s.key for s in segments] + ["safety", "no.such", "</record>", ""])
    prompt, selected = apply_program(segments, EditProgram(tuple(data.draw(st.lists(keys))), style))
    assert all(s.text in prompt for s in segments if s.pinned)
    assert len(set(selected)) == len(selected)
    assert set(selected) <= {s.key for s in segments if not s.pinned}


def _ask(question: str, encoder: MiniLM, program: EditProgram, row: dict[str, Any] | None = None) -> Personalized:
    known = {"birth": AS_OF.replace(year=1995), "smoking": "Never smoker"} if row is None else row
    return personalize(known, question, AS_OF, Fixed(program), encoder, _words)


def test_kept_and_dropped_are_all_free_candidates(encoder: MiniLM) -> None:
    made = _ask("Can I smoke?", encoder, EditProgram(("smoking", "age", "smoking", "nonsense")))
    assert made.kept == ("smoking", "age")
    assert sorted(made.kept + made.dropped) == sorted(s.key for s in made.segments if not s.pinned)


def test_the_initial_prompt_holds_every_candidate(encoder: MiniLM) -> None:
    made = _ask("Can I smoke?", encoder, EditProgram(()))
    assert all(s.text in made.initial for s in made.segments)
    assert made.kept == ()


def test_red_flags_are_found_whatever_the_policy_says(encoder: MiniLM) -> None:
    made = _ask("I am bleeding heavily and feel faint", encoder, EditProgram(()))
    assert [f.sign for f in made.flags][:1] == ["heavy_bleeding"]


def test_her_record_tells_triage_that_she_is_pregnant(encoder: MiniLM) -> None:
    question = "I noticed some spotting, what now?"
    pregnant = _ask(question, encoder, EditProgram(()), {"pregnancy_since": AS_OF, "pregnancies": 1})
    denied = {"codes": ["LOINC//82810-3"], "values": ["not pregnant"], "times": [AS_OF], "sources": ["s"]}
    row = {f"pregnancy_{name}": value for name, value in denied.items()}
    not_pregnant = _ask(question, encoder, EditProgram(()), row)
    assert [f.label for f in pregnant.flags] == ["urgent"]
    assert not_pregnant.flags == ()


def test_an_unknown_language_is_answered_in_english(encoder: MiniLM) -> None:
    made = personalize({}, "¿Puedo volar?", AS_OF, Fixed(EditProgram(())), encoder, _words, language="es")
    assert made.language == "en"
    assert made.prompt.startswith("You answer")


def test_the_first_champion_keeps_the_head_of_the_ranking(encoder: MiniLM) -> None:
    row = {"birth": AS_OF.replace(year=1995), "smoking": "Never smoker", "pregnancies": 0}
    made = personalize(row, "Is my asthma a risk?", AS_OF, RankingRefiner(Caps(picks=2, tokens=40)), encoder, _words)
    assert made.kept == tuple(s.key for s in made.segments if not s.pinned)[:2]
