"""No answer suggests a drug that pregnancy or breastfeeding forbids, an unlisted dose, or calm at a critical value."""

from __future__ import annotations

import pytest

from models.safety.answer_check import RecordedRisks, check_answer
from models.safety.pregnancy_drugs import find_contraindications, load_rows
from models.safety.triage.rules import TriageContext

AT_8, AT_24, AT_39 = (TriageContext(pregnant=True, gestational_weeks=w) for w in (8, 24, 39))
UNDATED, UNKNOWN, NEVER = TriageContext(pregnant=True), TriageContext(), TriageContext(pregnant=False)
AFTER = TriageContext(pregnant=False, postpartum_weeks=6)


@pytest.mark.attack("safety messages", "an answer suggests a drug contraindicated in pregnancy", "withheld")
@pytest.mark.parametrize(
    ("answer", "known"),
    [
        ("Take ibuprofen 400 mg.", AT_24),
        ("You could try Advil for the pain.", AT_24),
        ("ibuprofen is safe in pregnancy", AT_39),
        ("可以吃布洛芬。", AT_24),
        ("You can take two Aleve tonight.", UNDATED),
        ("Take aspirin 500 mg for the headache.", AT_24),
        ("Start lisinopril 10 mg.", AT_8),
        ("Losartan is a good choice for your blood pressure.", AT_24),
        ("建议服用缬沙坦。", AT_24),
        ("Accutane works well for acne.", AT_8),
        ("Keep taking your Depakote.", AT_8),
        ("Use methotrexate weekly.", AT_8),
        ("Doxycycline is fine for this infection.", AT_24),
        ("可以用四环素。", AT_24),
        ("Warfarin is an option.", AT_8),
        ("Take CellCept twice a day.", AT_24),
        ("Take atorvastatin at night.", AT_24),
        ("You can use misoprostol at home.", AT_8),
        ("Take nitrofurantoin for five days.", AT_39),
        ("Avoid alcohol and take ibuprofen.", AT_24),
        ("Take ibuprofen instead of paracetamol.", AT_24),
        ("There is no need to avoid naproxen.", AT_24),
        ("Do not take paracetamol, take ibuprofen.", AT_24),
        ("Tаke ibuрrоfen.", AT_24),
        ("take i b u p r o f e n", AT_24),
        ("Take isotretinoin.", UNKNOWN),
        ("After birth and today you can take ibuprofen.", AT_24),
    ],
)
def test_a_drug_against_pregnancy_is_caught(answer: str, known: TriageContext) -> None:
    assert "drug_in_pregnancy" in check_answer(answer, [], known=known)


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        ("Do not take ibuprofen at 24 weeks.", AT_24),
        ("Avoid ibuprofen, naproxen and other NSAIDs.", AT_24),
        ("不要吃布洛芬。", AT_24),
        ("孕期禁用异维A酸。", AT_24),
        ("Take paracetamol instead of ibuprofen.", AT_24),
        ("ACE inhibitors such as lisinopril can harm the baby.", AT_24),
        ("Stop taking lisinopril and call your clinic.", AT_8),
        ("Low-dose aspirin 81 mg lowers the risk of pre-eclampsia.", AT_24),
        ("You may take ibuprofen.", AT_8),
        ("Take nitrofurantoin for five days.", AT_24),
        ("After birth you can take ibuprofen.", AT_24),
        ("Take lisinopril.", NEVER),
        ("Take ibuprofen.", UNKNOWN),
        ("Rest and drink water.", AT_24),
    ],
)
def test_a_warning_or_an_allowed_drug_passes(answer: str, known: TriageContext) -> None:
    assert check_answer(answer, [], known=known) == ()


@pytest.mark.attack("safety messages", "an answer suggests a drug contraindicated while breastfeeding", "withheld")
@pytest.mark.parametrize(
    "answer",
    [
        "Take codeine for the pain.",
        "Use tramadol.",
        "可以吃可待因。",
        "Take Lipitor.",
        "Accutane is fine.",
        "Try Wegovy.",
    ],
)
def test_a_drug_against_breastfeeding_is_caught(answer: str) -> None:
    assert "drug_while_breastfeeding" in check_answer(answer, [], known=AFTER)
    assert check_answer("Avoid codeine while you breastfeed.", [], known=AFTER) == ()
    assert check_answer("Take ibuprofen.", [], known=AFTER) == ()


def test_a_listed_drug_may_be_named_where_nothing_is_known_of_a_pregnancy() -> None:
    listed = RecordedRisks(medicines=("Lisinopril 10 MG Oral Tablet",))
    assert check_answer("Take your lisinopril in the morning.", [], known=UNKNOWN, risks=listed) == ()
    assert check_answer("Take your lisinopril.", [], known=AT_8, risks=listed) == ("drug_in_pregnancy",)


@pytest.mark.attack("safety messages", "an answer gives a dose of a drug that nobody prescribed", "withheld")
@pytest.mark.parametrize(
    "answer",
    [
        "Take labetalol 200 mg twice a day.",
        "The usual dose of nifedipine is 30 mg.",
        "Take two tablets of paracetamol every six hours.",
        "Take 500 milligrams of frobinol.",
        "每次服用对乙酰氨基酚500毫克。",
        "吃两片泰诺。",
        "Inject 10 units before breakfast.",
        "Take fifty mg of sertraline.",
    ],
)
def test_an_unlisted_dose_is_caught(answer: str) -> None:
    assert "unlisted_dose" in check_answer(answer, [], risks=RecordedRisks(medicines=()))
    assert check_answer(answer, []) == ()


@pytest.mark.parametrize(
    "answer",
    [
        "Take your labetalol 200 mg twice a day as prescribed.",
        "Your glucose was 95 mg/dL and your haemoglobin 9.8 g/dL.",
        "Keep caffeine below 200 mg a day.",
        "Take 400 micrograms of folic acid a day.",
        "Do not take more than 4 g of paracetamol.",
        "Ask your clinic which dose suits you.",
        "每天吃60克蛋白质。",
        "The baby weighs about 900 grams.",
    ],
)
def test_a_listed_drug_a_value_or_food_is_no_unlisted_dose(answer: str) -> None:
    assert check_answer(answer, [], risks=RecordedRisks(medicines=("Labetalol 200 MG Oral Tablet",))) == ()


@pytest.mark.attack("safety messages", "an answer reassures beside a recorded critical value", "withheld")
@pytest.mark.parametrize("answer", ["This is normal.", "There is nothing to worry about.", "这很正常，不用担心。"])
def test_reassurance_beside_a_critical_value_is_caught(answer: str) -> None:
    assert check_answer(answer, [], risks=RecordedRisks(critical=True)) == ("plays_down_value",)
    assert check_answer(answer, []) == ()
    assert check_answer("Your blood pressure needs care today.", [], risks=RecordedRisks(critical=True)) == ()


def test_every_class_of_the_issue_has_its_source_and_wording_in_both_languages() -> None:
    rows = load_rows()
    classes = {row.reason.drug_class for row in rows}
    assert {"ace_inhibitor", "angiotensin_antagonist", "retinoid", "valproate", "methotrexate"} <= classes
    assert {"tetracycline", "nsaid"} <= classes
    for row in rows:
        assert row.reason.source
        assert set(row.reason.wording) == {"en", "zh"}
    assert next(r.weeks for r in rows if r.reason.drug_class == "nsaid") == (20, 45)


@pytest.mark.parametrize(
    ("medicine", "weeks", "classes"),
    [
        ("ibuprofen 200 mg oral tablet", 19, []),
        ("ibuprofen 200 mg oral tablet", 20, ["nsaid"]),
        ("24 hr nifedipine 30 mg extended release", 20, []),
        ("ramipril 5 mg", 6, ["ace_inhibitor"]),
        ("aspirin 81 mg oral tablet", 30, []),
        ("nystatin 100000 unt/ml", 12, []),
    ],
)
def test_a_draft_order_is_looked_up_by_week(medicine: str, weeks: int, classes: list[str]) -> None:
    assert [c.drug_class for c in find_contraindications(medicine, True, weeks)] == classes
