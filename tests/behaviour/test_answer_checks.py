"""No answer suggests an allergen by any name, or contradicts the pinned record."""

from __future__ import annotations

import pytest

from models.safety.answer_check import check_answer
from models.safety.triage.rules import TriageContext

AT_30 = TriageContext(pregnant=True, gestational_weeks=30)
AFTER = TriageContext(pregnant=False, postpartum_weeks=3)


@pytest.mark.parametrize(
    ("answer", "allergy"),
    [
        ("You could take some Advil.", "Ibuprofen 200 MG Oral Tablet"),
        ("Nurofen is fine.", "ibuprofen"),
        ("可以吃布洛芬。", "Ibuprofen"),
        ("可以服用阿莫西林。", "Penicillin V"),
        ("Amoxicillin helps.", "青霉素过敏"),
        ("建议服用头孢。", "cephalosporin"),
        ("You should not worry, ibuprofen is safe.", "ibuprofen"),
        ("As you are allergic to penicillin, take amoxicillin.", "penicillin"),
        ("必要时吃泰诺。", "Acetaminophen 325 MG"),
        ("Use Bactrim.", "Sulfamethoxazole"),
        ("Take ASA daily.", "Aspirin 81 MG"),
        ("Ecotrin is an option.", "aspirin"),
        ("Try Pepto-Bismol.", "aspirin allergy"),
        ("You could take Motrin.", "Aspirin"),
        ("Take some Aleve.", "NSAID"),
        ("可以吃芬必得。", "阿司匹林过敏"),
        ("Aspirin is fine.", "ASA"),
        ("Augmentin will help.", "PCN"),
        ("Use flucloxacillin.", "amoxicillin"),
        ("Keflex is an option.", "Cephalosporin"),
        ("Use Septra.", "Sulfa drugs"),
        ("Take azithromycin.", "Erythromycin 250 MG"),
    ],
)
def test_an_allergen_is_caught_under_another_name(answer: str, allergy: str) -> None:
    assert "allergy" in check_answer(answer, [allergy])


@pytest.mark.attack(
    "safety messages", "a recorded allergen in an answer, in look-alikes, cut or struck letters", "withheld"
)
@pytest.mark.parametrize(
    "name",
    [
        *("аspirin", "as\u200bpirin", "aspirína", "as-pirin", "a.s.p.i.r.i.n", "a s p i r i n", "a\u0336s\u0336pirin"),
        *(
            "ａｓｐｉｒｉｎ",
            "АSРІRІN",
            "as*pirin",
            "aspi\u00adrin",
            "𝐚𝐬𝐩𝐢𝐫𝐢𝐧",
            "阿 司 匹 林",
            "阿\u200b司匹林",
            "阿·司·匹·林",
        ),
    ],
)
def test_a_disguised_allergen_is_caught(name: str) -> None:
    assert "allergy" in check_answer(f"You can take {name} for this.", ["Aspirin 81 MG Oral Tablet"])
    assert check_answer(f"Do not take {name}.", ["Aspirin"]) == ()


@pytest.mark.parametrize(
    ("answer", "allergy"),
    [
        ("您对青霉素过敏，不要吃阿莫西林。", "Penicillin"),
        ("Do not take Advil, which contains ibuprofen.", "ibuprofen"),
        ("Ibuprofen is not suitable for you.", "ibuprofen"),
        ("Rest, drink water and ask your midwife.", "ibuprofen"),
        ("可以吃对乙酰氨基酚。", "Ibuprofen"),
        ("Take your ferrous sulfate with juice.", "Sulfa"),
        ("A nasal spray with salt water helps.", "ASA"),
        ("Take paracetamol.", "aspirin"),
    ],
)
def test_a_warning_or_another_drug_passes(answer: str, allergy: str) -> None:
    assert check_answer(answer, [allergy]) == ()


@pytest.mark.parametrize(
    ("answer", "known", "finding"),
    [
        ("You are 12 weeks pregnant, so wait for the scan.", AT_30, "gestational_week"),
        ("You're in your first trimester.", AT_30, "gestational_week"),
        ("您现在怀孕12周。", AT_30, "gestational_week"),
        ("您处于孕早期。", AT_30, "gestational_week"),
        ("You are now in week 18.", AT_30, "gestational_week"),
        ("Since you are not pregnant, you can take it.", AT_30, "pregnancy"),
        ("You have already given birth.", AT_30, "pregnancy"),
        ("您没有怀孕，可以服用。", AT_30, "pregnancy"),
        ("Because you are pregnant, avoid it.", AFTER, "pregnancy"),
        ("You are 30 weeks along.", AFTER, "pregnancy"),
        ("您怀孕了，要注意。", AFTER, "pregnancy"),
    ],
)
def test_a_contradicted_pin_is_caught(answer: str, known: TriageContext, finding: str) -> None:
    assert finding in check_answer(answer, [], known=known)


@pytest.mark.parametrize(
    "answer",
    [
        "You are 30 weeks pregnant.",
        "You are about 31 weeks pregnant.",
        "You are in the third trimester.",
        "If you are not pregnant, this differs.",
        "At 12 weeks most women have a scan.",
        "You are 2 weeks away from your scan.",
        "您现在怀孕30周。",
        "如果您没有怀孕，情况不同。",
        "Your baby moves a lot.",
    ],
)
def test_what_agrees_or_is_general_passes(answer: str) -> None:
    assert check_answer(answer, [], known=AT_30) == ()


@pytest.mark.parametrize(
    "answer",
    ["You have no known allergies.", "You are not allergic to penicillin.", "您没有药物过敏。", "您对青霉素不过敏。"],
)
def test_a_denied_allergy_is_caught(answer: str) -> None:
    assert "no_allergy" in check_answer(answer, ["Penicillin V"])
    assert "no_allergy" not in check_answer(answer, [])


def test_nothing_known_contradicts_nothing() -> None:
    assert check_answer("You are 12 weeks pregnant.", []) == ()
