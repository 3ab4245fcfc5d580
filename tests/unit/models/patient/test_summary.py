"""The summary lists what a feature row holds, with code, age and source."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from models.fact_disputes import MARK, StatedDispute
from models.patient.facts import list_facts
from models.patient.summary import Entry, summarize_patient
from models.prompt.sentences.problems import build_problem_segments

AS_OF = datetime(2026, 6, 10, 12, tzinfo=UTC)


def test_every_entry_has_its_code_age_and_source() -> None:
    row = {
        "condition_codes": ["ICD10//J45.9", "LOCAL//asth"],
        "condition_texts": ["Asthma", "asthma, own code"],
        "condition_times": [AS_OF - timedelta(days=12), None],
        "condition_sources": ["c1", "c2"],
        "weight_latest": 71.5,
        "weight_time": AS_OF - timedelta(hours=12),
        "weight_source": "w",
    }
    summary = summarize_patient(row, AS_OF)
    assert summary.conditions[0] == Entry("ICD10//J45.9", "Asthma", 12.0, "c1", "asthma")
    assert [e.text for e in summary.unmapped] == ["asthma, own code"]
    (weight,) = summary.signals
    assert (weight.name, weight.value, weight.unit, weight.age_days, weight.source) == ("weight", 71.5, "kg", 0.5, "w")


def test_nothing_known_is_unknown_not_absent() -> None:
    summary = summarize_patient({}, AS_OF)
    assert summary.pregnant == "unknown"
    assert summary.allergies == summary.conditions == summary.signals == []


def test_a_disputed_fact_is_shown_with_its_day_and_whether_it_stands() -> None:
    row = {
        "suspected_codes": ["ICD10//J45.9"], "suspected_texts": [f"Asthma{MARK}"], "suspected_sources": ["s"],
        "condition_codes": ["ICD10//O24.4"], "condition_texts": ["Gestational diabetes"],
        "condition_times": [AS_OF], "condition_sources": ["c"],
        "allergy_codes": ["RXNORM//7982"], "allergy_texts": ["Penicillin V"], "allergy_kinds": ["medication"],
    }  # fmt: skip
    keys = ("condition:ICD10//J45.9", "condition:ICD10//O24.4", "allergy:RXNORM//7982")
    disputes = [(StatedDispute(key, AS_OF - timedelta(days=3), "id"), None) for key in keys]
    summary = summarize_patient(row, AS_OF, disputes=disputes)

    assert [(e.text, e.reason) for e in summary.not_current] == [("Asthma", "disputed by a clinician on 2026-06-07")]
    assert summary.suspected == []
    assert [str(e.disputed) for e in summary.allergies] == ["2026-06-07"]
    assert [fact.stands for fact in summary.disputed] == [False, True, True]
    assert {f.key for f in list_facts(summary)} == {"condition:ICD10//O24.4", "allergy:RXNORM//7982"}


def test_a_bound_and_a_preliminary_value_are_named_as_such() -> None:
    row = {"glucose_latest": 600.0, "glucose_time": AS_OF, "glucose_comparator": "> preliminary"}
    (fact,) = list_facts(summarize_patient(row, AS_OF))
    assert fact.text == "glucose >600 mg/dL (preliminary)"


def test_the_week_of_a_former_day_is_no_current_condition() -> None:
    at = AS_OF - timedelta(days=41)
    row = {"condition_codes": ["ICD10//Z3A.20"], "condition_texts": ["20 weeks gestation of pregnancy"],
           "condition_times": [at], "condition_sources": ["z"]}  # fmt: skip
    summary = summarize_patient(row, AS_OF)
    assert summary.conditions == []
    assert [entry.reason for entry in summary.not_current] == ["the week of the day on which it was noted"]
    assert not [s for s in build_problem_segments(row, AS_OF, "en") if "20 weeks" in s.text]
