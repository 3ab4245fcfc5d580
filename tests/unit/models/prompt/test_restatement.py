"""The embedded answer states facts of the prompt to the patient, and nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from models.prompt.candidates import build_candidates
from models.prompt.restatement import KINDS, restate_facts, restate_nothing
from models.templates import LANGUAGES, TEMPLATE_VERSION, TEMPLATES, render_sentence, speak_to_patient
from tests.unit.models.feature_rows import AS_OF, feature_rows

ANAEMIC = {
    "haemoglobin_latest": 10.7,
    "haemoglobin_time": AS_OF - timedelta(days=5),
    "haemoglobin_source": "a1",
    "haemoglobin_previous": 13.3,
    "haemoglobin_previous_time": AS_OF - timedelta(days=215),
}


def spoken(row: dict[str, Any], language: str = "en") -> tuple[Any, ...]:
    return build_candidates(row, AS_OF, lambda _: 0, speak_to_patient(language))


def answer(row: dict[str, Any], picks: tuple[str, ...], language: str = "en") -> str:
    return "".join(restate_facts(spoken(row, language), picks, language, lambda _: True))


def _leaves(node: Any, path: str = "") -> dict[str, str]:
    if not isinstance(node, dict):
        return {path: node}
    return {k: v for name, child in node.items() for k, v in _leaves(child, f"{path}.{name}".strip(".")).items()}


def _file(language: str, kind: str = "") -> dict[str, str]:
    return _leaves(yaml.safe_load((TEMPLATES / language / f"{TEMPLATE_VERSION}{kind}.yaml").read_text("utf-8")))


def test_a_chosen_fact_is_stated_first_and_the_pinned_ones_after_it() -> None:
    text = answer(ANAEMIC, ("haemoglobin.latest",))
    assert text.startswith(
        "This is what your record says that may matter for your question:\n- Your latest haemoglobin was"
    )
    assert "10.7 g/dL, which is low" in text or "10.7 g/dL" in text
    assert text.index("haemoglobin") < text.index("Whether you are pregnant is not known.")
    assert text.endswith("Your clinician will answer your question.")


def test_a_fact_that_was_not_chosen_is_not_stated() -> None:
    assert "haemoglobin" not in answer(ANAEMIC, ())
    assert answer(ANAEMIC, ()).startswith(render_sentence("restatement.opening_pinned", "en-you"))


def test_what_the_check_objects_to_is_left_out_and_the_answer_says_that_it_is_not_complete() -> None:
    pieces = restate_facts(spoken(ANAEMIC), ("haemoglobin.latest",), "en", lambda text: "haemoglobin" not in text)
    assert "haemoglobin" not in "".join(pieces)
    assert "\n- Not everything on your record is repeated here.\n\n" in "".join(pieces)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_the_record_nothing_is_stated(language: str) -> None:
    assert len(restate_nothing(language)) == 2


@pytest.mark.parametrize("language", LANGUAGES)
@given(row=feature_rows())
@settings(max_examples=20)
def test_every_sentence_is_of_a_fact_of_the_prompt_and_names_the_same_numbers(
    language: str, row: dict[str, Any]
) -> None:
    plain = {s.key: s for s in build_candidates(row, AS_OF, lambda _: 0, language)}
    addressed = {s.key: s for s in spoken(row, language)}
    assert plain.keys() == addressed.keys()
    for key, segment in plain.items():
        if segment.kind in KINDS and key != "safety":
            assert sorted(re.findall(r"\d+", segment.text)) == sorted(re.findall(r"\d+", addressed[key].text)), key
            assert addressed[key].sources == segment.sources


def test_both_languages_state_the_same_facts_and_each_fact_has_a_plain_sentence() -> None:
    english, chinese = _file("en", ".you"), _file("zh", ".you")
    assert english.keys() == chinese.keys()
    assert {key for key in english if not key.startswith("restatement.")} <= _file("en").keys()


def test_every_sentence_of_a_fact_speaks_to_the_patient() -> None:
    spoken_to = {"pinned", "peer", "prediction", "preference", "ago", "span", "level", "bound", "labels", "safety"}
    facts = {
        key
        for key in _file("en")
        if key.split(".")[0] not in spoken_to and key not in ("preliminary", "allergies.unconfirmed")
    }
    assert facts == {key for key in _file("en", ".you") if not key.startswith("restatement.")}
    assert not [
        text for text in _file("en", ".you").values() if re.search(r"\b(?:she|her|hers)\b", text, re.IGNORECASE)
    ]
    assert not [text for text in _file("zh", ".you").values() if "她" in text]
