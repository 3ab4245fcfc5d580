"""Candidate sentences say what the record supports, whatever the record holds."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.fact_disputes import MARK
from models.peers.outcome_estimates import OutcomeFinding
from models.prompt.candidates import FREE_LIMIT, build_candidates
from models.prompt.sentences.pinned import PINNED_KEYS, list_drug_allergies
from models.schema import Segment
from models.templates import DATE_LIKE
from tests.unit.models.feature_rows import AS_OF, EVERY_OUTCOME, HOSTILE, feature_rows

lenient = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _words(text: str) -> int:
    return len(text.split())


def _by_key(row: dict[str, Any], language: str = "en") -> dict[str, Segment]:
    return {s.key: s for s in build_candidates(row, AS_OF, _words, language)}


@lenient
@given(row=feature_rows(), language=st.sampled_from(["en", "zh"]))
def test_no_candidate_holds_a_date_or_a_line_break_or_a_fence(row: dict[str, Any], language: str) -> None:
    for segment in build_candidates(row, AS_OF, _words, language, findings=EVERY_OUTCOME):
        assert not DATE_LIKE.search(segment.text)
        assert len(segment.text.splitlines()) == 1
        assert not set("<>|{}`") & set(segment.text)


@lenient
@given(row=feature_rows())
def test_keys_are_unique_pinned_come_first_and_every_sentence_has_a_source(row: dict[str, Any]) -> None:
    found = build_candidates(row, AS_OF, _words, findings=EVERY_OUTCOME)
    assert len({s.key for s in found}) == len(found)
    assert tuple(s.key for s in found[:3]) == PINNED_KEYS
    assert [s.pinned for s in found] == [True] * 3 + [False] * (len(found) - 3)
    assert len(found) - 3 <= FREE_LIMIT
    assert all(s.sources and all(s.sources) for s in found)
    assert all(s.tokens == _words(s.text) for s in found)


@lenient
@given(row=feature_rows())
def test_the_same_row_gives_the_same_candidates(row: dict[str, Any]) -> None:
    assert build_candidates(row, AS_OF, _words) == build_candidates(dict(reversed(list(row.items()))), AS_OF, _words)


def test_an_empty_record_says_what_is_missing() -> None:
    found = _by_key({})
    assert set(found) == {*PINNED_KEYS, "record.missing"}
    assert found["allergies"].text == "Whether she has drug allergies is not known."
    assert found["pregnancy"].text == "Whether she is pregnant is not known."


def test_a_first_visit_says_that_there_is_nothing_earlier() -> None:
    found = _by_key({"visit_times": [AS_OF - timedelta(days=1)]})
    assert "nothing earlier" in found["record.missing"].text
    assert not any(key.endswith(".change") for key in found)


def test_a_drug_allergy_is_pinned_by_name_and_a_food_allergy_is_free() -> None:
    row = {
        "allergy_codes": ["a", "b", "c"],
        "allergy_texts": ["Penicillin V", "Peanut", "Sulfonamide"],
        "allergy_kinds": ["allergy.medication", "allergy.food", "allergy.other"],
        "allergy_sources": ["s1", "s2", "s3"],
    }
    found = _by_key(row)
    assert found["allergies"].text == "Drug allergies: penicillin V, sulfonamide."
    assert found["allergies"].sources == ("s1", "s3")
    assert found["allergy.food"].text == "Food allergy: peanut"
    assert list_drug_allergies(row) == ("penicillin V", "sulfonamide")


def test_absence_is_a_fact_and_presence_takes_its_place() -> None:
    without = _by_key({"condition_codes": [], "condition_texts": [], "pregnancies": 0})
    assert without["no.asthma"].text == "No current asthma on record"
    asthma = {"condition_codes": ["SNOMED//195967001"], "condition_texts": ["Asthma (disorder)"]}
    times = {"condition_times": [AS_OF - timedelta(days=800)], "condition_sources": ["s"]}
    found = _by_key({**asthma, **times})
    assert found["condition.asthma"].text == "Has asthma, noted 2 years ago"
    assert "no.asthma" not in found


@pytest.mark.parametrize(
    ("code", "name", "language", "text"),
    [
        ("128053003", "Deep venous thrombosis (disorder)", "en", "Has deep venous thrombosis (blood clots)"),
        ("59621000", "Essential hypertension", "en", "Has essential hypertension (high blood pressure)"),
        ("271737000", "Anemia (disorder)", "en", "Has anemia"),
        ("40930008", "Hypothyroidism", "en", "Has hypothyroidism"),
        ("128053003", "Deep venous thrombosis", "zh", "有deep venous thrombosis（血栓）"),
    ],
)
def test_a_condition_is_also_called_what_a_patient_calls_it(code: str, name: str, language: str, text: str) -> None:
    row = {"condition_codes": [f"SNOMED//{code}"], "condition_texts": [name]}
    (found,) = (s for s in build_candidates(row, AS_OF, len, language) if s.key.startswith("condition."))
    assert found.text == text


def test_a_truncated_list_of_conditions_claims_no_absence() -> None:
    many = [f"SNOMED//{i}" for i in range(40)]
    row = {"condition_codes": many, "condition_texts": [f"Finding {c}" for c in "abcdefghij" * 4]}
    assert not any(key.startswith("no.") for key in _by_key(row))


def _pressures(latest: tuple[float, float], previous: tuple[float, float]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value, before in zip(("systolic", "diastolic"), latest, previous, strict=True):
        row |= {f"{name}_latest": value, f"{name}_time": AS_OF - timedelta(days=3), f"{name}_source": name}
        row |= {f"{name}_previous": before, f"{name}_previous_time": AS_OF - timedelta(days=31)}
        row |= {f"{name}_shift": 4.0}
    return row


def test_pressures_are_joined_and_their_change_says_from_and_to() -> None:
    found = _by_key(_pressures((142.0, 88.0), (118.0, 74.0)))
    assert found["blood_pressure.latest"].text == "Blood pressure 142/88, high, 3 days ago"
    assert (
        found["blood_pressure.change"].text == "Blood pressure rose from 118/74 to 142/88 in 4 weeks, unusual for her"
    )
    assert found["blood_pressure.change"].sources == ("systolic", "diastolic")
    assert found["blood_pressure.change"].recency_days == 3


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "Blood pressure changed from 120/82 to 131/74 in 4 weeks, unusual for her"),
     ("zh", "血压4周内从120/82变为131/74，超出她平时的波动")],
)  # fmt: skip
def test_pressures_that_moved_apart_neither_rose_nor_fell(language: str, text: str) -> None:
    found = _by_key(_pressures((131.0, 74.0), (120.0, 82.0)), language)
    assert found["blood_pressure.change"].text == text


def test_pressures_of_different_days_are_not_joined() -> None:
    row = {
        "systolic_latest": 142.0,
        "systolic_time": AS_OF - timedelta(days=3),
        "diastolic_latest": 88.0,
        "diastolic_time": AS_OF - timedelta(days=9),
    }
    assert "blood_pressure.latest" not in _by_key(row)


def test_a_value_older_than_two_years_is_left_out() -> None:
    at = {"weight_latest": 70.0, "weight_time": AS_OF - timedelta(days=731)}
    assert "weight.latest" not in _by_key(at)
    assert "weight.latest" in _by_key({**at, "weight_time": AS_OF - timedelta(days=729)})


def test_the_second_medicine_of_a_class_keeps_a_key_of_its_own() -> None:
    row = {"medicine_codes": ["RXNORM//1", "RXNORM//2"], "medicine_texts": ["Ibuprofen 200 MG", "Naproxen 250 MG"]}
    assert {"medicine.nsaid", "medicine.code:RXNORM//2"} <= set(_by_key(row))


def test_peers_are_told_with_their_number_never_below_it_and_only_where_they_beat_the_cohort() -> None:
    row = {"peers_count": 20, "peer_anaemia": 35.0, "cohort_anaemia": 25.0, "peer_iron": 40.0, "cohort_iron": 20.0}
    findings = {"anaemia": OutcomeFinding(20.0, 0.1, 0.02, 0.2, 300, 60)}

    def peers(row: dict[str, Any]) -> dict[str, Segment]:
        made = build_candidates(row, AS_OF, _words, findings=findings)
        return {s.key: s for s in made if s.kind == "peer"}

    found = peers(row)
    assert found["peer.anaemia"].text == "An estimated 30% of patients like 20 similar ones have anaemia"
    assert found["peer.anaemia"].sources == ("peers:n=20",)
    assert found.keys() == {"peer.anaemia"}
    assert not peers({**row, "peers_count": 0})
    assert not any(k.startswith("peer.") for k in _by_key(row))


@pytest.mark.parametrize(("birth_year", "text"), [(1996, "Age 30"), (1930, "Age 90 or older")])
def test_age_is_in_years_and_the_oldest_are_not_singled_out(birth_year: int, text: str) -> None:
    assert _by_key({"birth": AS_OF.replace(year=birth_year)})["age"].text == text


@pytest.mark.parametrize("text", HOSTILE)
def test_an_instruction_in_a_record_stays_data_on_one_line(text: str) -> None:
    row = {
        "condition_codes": ["SNOMED//1"],
        "condition_texts": [text],
        "medicine_codes": ["M"],
        "medicine_texts": [text],
    }
    for segment in build_candidates(row, AS_OF, _words):
        assert "\n" not in segment.text
        assert len(segment.text) < 200


def test_a_bound_is_said_as_a_bound() -> None:
    bounded = {"glucose_latest": 600.0, "glucose_time": AS_OF - timedelta(days=1), "glucose_comparator": ">"}
    anaemic = {"haemoglobin_latest": 7.0, "haemoglobin_time": AS_OF, "haemoglobin_comparator": ">="}
    found = _by_key(bounded | anaemic)

    assert found["glucose.latest"].text == "Blood glucose above 600 mg/dL, high, yesterday"
    assert found["haemoglobin.latest"].text == "Haemoglobin at least 7.0 g/dL, today"


def test_a_preliminary_value_is_said_as_one_and_changes_nothing_yet() -> None:
    before = {"glucose_previous": 90.0, "glucose_previous_time": AS_OF - timedelta(days=9)}
    early = {"glucose_latest": 180.0, "glucose_time": AS_OF, "glucose_comparator": "preliminary"}
    pressure = {f"{name}_{part}": value for name, latest in (("systolic", 150.0), ("diastolic", 95.0))
                for part, value in (("latest", latest), ("time", AS_OF), ("comparator", "> preliminary"))}  # fmt: skip
    found = _by_key(before | early | pressure)

    assert found["glucose.latest"].text == "Blood glucose 180 mg/dL, normal, today (preliminary)"
    assert found["blood_pressure.latest"].text.startswith("Blood pressure above 150/above 95")
    assert found["blood_pressure.latest"].text.endswith(" (preliminary)")
    assert "glucose.change" not in found


def test_what_a_clinician_disputes_is_neither_said_nor_denied() -> None:
    suspected = {"suspected_codes": ["SNOMED//195967001"], "suspected_texts": [f"Asthma{MARK}"]}
    medicines = {"medicine_codes": ["RXNORM//1"], "medicine_texts": [f"Sertraline{MARK}"], "medicine_times": [AS_OF]}
    found = _by_key(suspected | medicines)

    assert not [key for key in found if "asthma" in key or key.startswith("medicine")]
    assert "no.asthma" in _by_key({"condition_codes": ["SNOMED//1"], "condition_texts": ["x"]})


def test_a_suspicion_is_said_as_one_and_is_not_absent() -> None:
    found = _by_key({"suspected_codes": ["SNOMED//398254007"], "suspected_texts": ["Pre-eclampsia"]})

    assert found["suspected.preeclampsia"].text == "Suspected, not confirmed: pre-eclampsia"
    assert not {"no.preeclampsia", "condition.preeclampsia"} & set(found)


def test_a_suspicion_of_what_is_on_record_adds_nothing() -> None:
    coded = {"condition_codes": ["ICD10//O14.1"], "condition_texts": ["Severe pre-eclampsia"]}
    found = _by_key(coded | {"suspected_codes": ["SNOMED//398254007"], "suspected_texts": ["Pre-eclampsia"]})

    assert "condition.preeclampsia" in found
    assert "suspected.preeclampsia" not in found


def test_an_unconfirmed_allergy_is_named_and_said_to_be_unconfirmed() -> None:
    row = {
        "allergy_texts": ["penicillin G", "aspirin"],
        "allergy_kinds": ["unconfirmed.medication", "medication"],
        "allergy_sources": ["a", "b"],
    }
    assert _by_key(row)["allergies"].text == "Drug allergies: penicillin G (unconfirmed), aspirin."
    assert list_drug_allergies(row) == ("penicillin G", "aspirin")


@pytest.mark.parametrize("names", [[], ["aspirin"]])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_beside_an_unread_allergy_none_is_never_said(names: list[str], language: str) -> None:
    row = {
        "allergy_texts": [*names, "an entry that could not be read"],
        "allergy_kinds": [*("medication" for _ in names), "unread"],
        "weight_latest": 61.0,
    }
    text = _by_key(row, language)["allergies"].text
    assert {"en": "could not be read", "zh": "无法读取"}[language] in text
    assert all(name in text for name in names)
    assert {"en": "No drug allergies", "zh": "没有药物过敏"}[language] not in text


def test_a_value_and_the_time_since_it_are_never_two_numbers_in_a_row() -> None:
    found = _by_key({"phq9_latest": 5.0, "phq9_time": AS_OF - timedelta(days=550), "phq9_source": "s"})
    assert found["phq9.latest"].text == "PHQ-9 mood score 5, normal, 18 months ago"
    assert not any(re.search(r"\d \d", s.text) for s in found.values())


@pytest.mark.parametrize(
    ("recorded", "stated"),
    [
        (
            "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet",
            "24 HR Metformin 500 MG Extended Release",
        ),
        ("NDA020503 0.3 ML Epinephrine 1 MG/ML Auto-Injector", "0.3 ML Epinephrine 1 MG/ML Auto-Injector"),
        ("Acetaminophen 325 MG Oral Tablet [Tylenol]", "acetaminophen 325 MG [Tylenol]"),
        ("Nitroglycerin 0.4 MG Sublingual Tablet", "nitroglycerin 0.4 MG Sublingual"),
    ],
)
def test_a_medicine_keeps_strength_route_and_release_but_no_plain_form(recorded: str, stated: str) -> None:
    row = {"medicine_codes": ["RXNORM//1"], "medicine_texts": [recorded], "medicine_times": [AS_OF]}
    (found,) = (s for s in build_candidates(row, AS_OF, len) if s.key.startswith("medicine."))
    assert found.text.startswith(f"Takes {stated}")


def test_a_class_is_named_only_where_the_name_does_not_say_it() -> None:
    row = {"medicine_codes": ["a", "b"], "medicine_texts": ["Aspirin 81 MG Oral Tablet", "Metformin 500 MG"]}
    found = _by_key(row)
    assert found["medicine.aspirin"].text == "Takes aspirin 81 MG"
    assert found["medicine.diabetes_medicine"].text == "Takes metformin 500 MG (diabetes medicine)"
