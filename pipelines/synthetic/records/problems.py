"""Add chronic problems, medicines and allergies, which Synthea's young patients mostly lack.

One row per problem: how many patients have it, its SNOMED code, and what some of them take for it. Prevalences are set
so that each topic's rules meet patients with and without it, not to match any population.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.calendar import Calendar, moment
from pipelines.synthetic.records.fhir import Resource

Medicine = tuple[str, str]
"""RxNorm code and name of a drug."""


@dataclass(frozen=True, slots=True)
class ChronicProblem:
    """``share`` of patients have it; ``treated`` of those take one of ``medicines``."""

    name: str
    share: float
    code: tuple[str, str]
    medicines: tuple[Medicine, ...] = ()
    treated: float = 0.0


LABETALOL = ("896762", "labetalol hydrochloride 100 MG Oral Tablet")
IRON = ("310325", "ferrous sulfate 325 MG Oral Tablet")
METFORMIN = ("861007", "metformin hydrochloride 500 MG Oral Tablet")
ASPIRIN = ("243670", "Aspirin 81 MG Oral Tablet")
FOLIC_ACID = ("237786", "folic acid 0.4 MG Oral Tablet")

ALBUTEROL = ("745679", "albuterol 0.09 MG/ACTUAT Metered Dose Inhaler")
ENALAPRIL = ("858817", "enalapril maleate 10 MG Oral Tablet")
ENOXAPARIN = ("854235", "enoxaparin sodium 40 MG Injection")
LAMOTRIGINE = ("198427", "lamotrigine 100 MG Oral Tablet")
LEVOTHYROXINE = ("966222", "Levothyroxine Sodium 0.075 MG Oral Tablet")
NAPROXEN = ("849574", "Naproxen sodium 220 MG Oral Tablet")
NIFEDIPINE = ("198034", "nifedipine 30 MG Oral Tablet")
OMEPRAZOLE = ("198051", "omeprazole 20 MG Oral Capsule")
SERTRALINE = ("312938", "Sertraline 100 MG Oral Tablet")
SUMATRIPTAN = ("313161", "sumatriptan 50 MG Oral Tablet")

PROBLEMS: tuple[ChronicProblem, ...] = (
    ChronicProblem("asthma", 0.17, ("195967001", "Asthma"), (ALBUTEROL,), 0.8),
    ChronicProblem("migraine", 0.14, ("37796009", "Migraine"), (SUMATRIPTAN,), 0.5),
    ChronicProblem("migraine_aura", 0.09, ("4473006", "Migraine with aura")),
    ChronicProblem(
        "hypertension", 0.14, ("59621000", "Essential hypertension"), (LABETALOL, ENALAPRIL, NIFEDIPINE), 0.8
    ),
    ChronicProblem("thyroid", 0.13, ("40930008", "Hypothyroidism"), (LEVOTHYROXINE,), 0.85),
    ChronicProblem("depression", 0.18, ("35489007", "Depressive disorder"), (SERTRALINE,), 0.6),
    ChronicProblem("anxiety", 0.16, ("197480006", "Anxiety disorder")),
    ChronicProblem("clot", 0.08, ("128053003", "Deep venous thrombosis"), (ENOXAPARIN,), 0.4),
    ChronicProblem("epilepsy", 0.07, ("84757009", "Epilepsy"), (LAMOTRIGINE,), 0.8),
    ChronicProblem("diabetes", 0.07, ("44054006", "Type 2 diabetes mellitus"), (METFORMIN,), 0.8),
    ChronicProblem("pcos", 0.12, ("237055002", "Polycystic ovary syndrome"), (METFORMIN,), 0.3),
    ChronicProblem("endometriosis", 0.11, ("129103003", "Endometriosis"), (NAPROXEN,), 0.5),
    ChronicProblem("reflux", 0.16, ("235595009", "Gastroesophageal reflux disease"), (OMEPRAZOLE,), 0.6),
    ChronicProblem("kidney_disease", 0.05, ("431856006", "Chronic kidney disease stage 2")),
)

ALLERGIES: tuple[tuple[float, tuple[str, str]], ...] = (
    (0.16, ("7980", "Penicillin G")),
    (0.09, ("5640", "Ibuprofen")),
    (0.07, ("1191", "Aspirin")),
    (0.07, ("10180", "Sulfamethoxazole")),
    (0.05, ("2670", "Codeine")),
)


def draw_problems(rng: random.Random) -> tuple[frozenset[str], tuple[tuple[str, str], ...]]:
    """Draw the names of one patient's problems, and the drug allergies."""
    names = {p.name for p in PROBLEMS if rng.random() < p.share}
    if "migraine_aura" in names:
        names.discard("migraine")
    return frozenset(names), tuple(code for share, code in ALLERGIES if rng.random() < share)


def record_problems(
    patient: str, birth: date, names: frozenset[str], allergies: tuple[tuple[str, str], ...], calendar: Calendar
) -> list[Resource]:
    """Build one patient's conditions, medicines and allergies, from years before the portal opened."""
    rng = random.Random(f"problems/{patient}")
    adult = max(birth + timedelta(days=16 * 365), calendar.portal_opens - timedelta(days=6 * 365))
    span = (calendar.portal_opens - timedelta(days=120) - adult).days
    resources: list[Resource] = []
    for problem in PROBLEMS:
        began = moment(adult + timedelta(days=rng.randrange(max(span, 1))), rng.randrange(9, 17), rng.randrange(60))
        treated, medicine = rng.random() < problem.treated, rng.choice(problem.medicines or (None,))
        if problem.name not in names:
            continue
        code = fhir.build_concept(fhir.SNOMED, *problem.code)
        resources.append(
            fhir.build_condition(fhir.derive_id("problem", problem.name, patient), patient, code, began, None)
        )
        if treated and medicine:
            identity = fhir.derive_id("medicine", problem.name, patient)
            resources.append(fhir.build_medication(identity, patient, medicine, began + timedelta(minutes=20)))
    for code_of_drug in allergies:
        recorded = adult + timedelta(days=rng.randrange(max(span, 1)))
        identity = fhir.derive_id("allergy", code_of_drug[0], patient)
        resources.append(fhir.build_drug_allergy(identity, patient, code_of_drug, recorded))
    return resources
