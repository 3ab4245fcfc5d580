"""What is current, by its supply or its course, and what is history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.patient.currency import CurrencyRule, list_conditions, list_medicines
from models.prompt.candidates import build_candidates
from models.prompt.sentences.pinned import list_drug_allergies

AS_OF = datetime(2026, 6, 10, tzinfo=UTC)


def _medicine(name: str, days_ago: float, supply: float = 0) -> dict[str, object]:
    ordered = AS_OF - timedelta(days=days_ago)
    return {
        "medicine_codes": ["RXNORM//1"],
        "medicine_texts": [name],
        "medicine_times": [ordered],
        "medicine_ends": [ordered + timedelta(days=supply)],
        "medicine_sources": ["s"],
    }


def _condition(code: str, name: str, days_ago: float) -> dict[str, object]:
    noted = AS_OF - timedelta(days=days_ago)
    return {"condition_codes": [code], "condition_texts": [name], "condition_times": [noted], "condition_sources": []}


@pytest.mark.parametrize(
    ("name", "days_ago", "supply", "reason"),
    [
        ("cetirizine hydrochloride 5 MG Oral Tablet", 17 * 365, 0, "not_renewed"),
        ("cetirizine hydrochloride 5 MG Oral Tablet", 364, 0, ""),
        ("cetirizine hydrochloride 5 MG Oral Tablet", 400, 500, ""),
        ("amoxicillin 500 MG Oral Tablet", 20, 10, "supply_ended"),
        ("amoxicillin 500 MG Oral Tablet", 10, 10, ""),
        ("Mirena 52 MG Intrauterine System", 4 * 365, 0, ""),
        ("Mirena 52 MG Intrauterine System", 9 * 365, 0, "not_renewed"),
        ("etonogestrel 68 MG Drug Implant", 3 * 365, 0, ""),
        ("Nexplanon 68 MG Drug Implant", 3 * 365 + 1, 0, "not_renewed"),
        ("NuvaRing etonogestrel 0.12 MG Vaginal System", 3 * 365, 0, "not_renewed"),
    ],
)
def test_a_medicine_is_current_by_its_supply_or_a_renewal(
    name: str, days_ago: float, supply: float, reason: str
) -> None:
    (entry,) = list_medicines(_medicine(name, days_ago, supply), AS_OF)
    assert entry.reason == reason


@pytest.mark.parametrize(
    ("code", "name", "days_ago", "current"),
    [
        ("SNOMED//307426000", "Acute infective cystitis (disorder)", 15 * 365, False),
        ("SNOMED//307426000", "Acute infective cystitis (disorder)", 20, True),
        ("ICD10//N30.00", "Acute cystitis without hematuria", 400, False),
        ("ICD10//N30.10", "Interstitial cystitis (chronic) without hematuria", 400, True),
        ("ICD10//J06.9", "Acute upper respiratory infection, unspecified", 400, False),
        ("ICD10//S52.501A", "Unspecified fracture of the lower end of right radius", 400, False),
        ("ICD10//B18.1", "Chronic viral hepatitis B", 4000, True),
        ("ICD10//B20", "Human immunodeficiency virus disease", 4000, True),
        ("ICD10//J45.909", "Unspecified asthma", 4000, True),
        ("ICD10//I82.401", "Acute embolism of unspecified deep veins of right leg", 4000, True),
        ("ICD10//R73.03", "Prediabetes", 4000, True),
        ("ICD10//Z87.59", "Personal history of complications of pregnancy", 4000, True),
        ("SNOMED//91861009", "Acute myeloid leukemia (disorder)", 4000, True),
        ("SNOMED//57054005", "Acute myocardial infarction (disorder)", 4000, True),
        ("SNOMED//128053003", "Deep venous thrombosis", 4000, True),
        ("SNOMED//999000000", "Acute laryngitis (disorder)", 4000, False),
        ("SNOMED//195967001", "Asthma", 4000, True),
        ("LOCAL//x", "something of the clinic's own", 4000, True),
    ],
)
def test_an_acute_condition_is_history_after_its_course(code: str, name: str, days_ago: float, current: bool) -> None:
    (entry,) = list_conditions(_condition(code, name, days_ago), AS_OF)
    assert (entry.reason == "") == current


def test_the_days_are_the_clinics_to_set() -> None:
    cystitis = _condition("ICD10//N30.00", "Acute cystitis", 100)
    assert list_conditions(cystitis, AS_OF, CurrencyRule(acute_days=120))[0].reason == ""
    assert list_medicines(_medicine("iron", 500), AS_OF, CurrencyRule(medicine_days=730))[0].reason == ""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_not_current_is_stated_as_history_and_never_as_of_today(language: str) -> None:
    row = _medicine("cetirizine hydrochloride 5 MG Oral Tablet", 17 * 365.25)
    row |= _condition("SNOMED//307426000", "Acute infective cystitis (disorder)", 15 * 365.25)
    texts = {s.key: s.text for s in build_candidates(row, AS_OF, len, language)}
    stated = " ".join(texts.values())
    assert "Takes" not in stated
    assert "Has acute" not in stated
    assert "在用cetirizine" not in stated
    assert "有acute infective cystitis" not in stated.replace("曾有", "")
    if language == "en":
        assert "Cetirizine 5 MG last prescribed 17 years ago, not renewed" in stated
        assert "noted 15 years ago, not since" in texts["condition.urinary_infection"]
        assert texts["medicines.none"] == "No current medicine on record"


def test_drug_allergies_never_fade() -> None:
    row = {"allergy_codes": ["RXNORM//7980"], "allergy_texts": ["Penicillin G"], "allergy_kinds": ["medication"]}
    assert list_drug_allergies(row) == ("penicillin G",)
    texts = {s.key: s.text for s in build_candidates(row, AS_OF + timedelta(days=40 * 365), len)}
    assert "penicillin G" in texts["allergies"]
