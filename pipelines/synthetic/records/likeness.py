"""Draw what a patient shares with patients like her: traits, outcomes, site.

Each follows from a group that her record shows (long-standing problems, age), so that similar records share it; the
traits and the practice of a site are themselves in no record.

group       high risk (hypertension, diabetes, kidney, clot, epilepsy) > worried (mood, migraine) > under 28 > other
traits      concern, liked style and missed visits are the group's usual with chance ``LOYALTY``, else drawn afresh
outcomes    gestational diabetes and high pressure come more often with the risk factors of the guidelines
site        levels of maternal care: the group decides where she is treated, with chance ``LOYALTY``

Grounds: ACOG Obstetric Care Consensus 9 (levels of maternal care), ACOG
Practice Bulletin 190 (PCOS, obesity and gestational diabetes), ACOG Committee Opinion 743 and NICE NG133 (risks of
pre-eclampsia), NICE NG197 (absolute risks in shared decisions). The shares are ours.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.fhir import Resource
from pipelines.synthetic.records.options import ClinicOptions
from pipelines.synthetic.records.traits import Style, Traits

Group = Literal["high_risk", "worried", "young", "other"]
#: What a woman wants to hear of first: side effects of medicines, what she does not have, her numbers.
Concern = Literal["medicines", "absences", "numbers", "conditions"]
Site = Literal["hospital", "practice", "student_clinic", "midwives"]

LOYALTY = 0.85
_GROUP_CONCERN: dict[Group, Concern] = {
    "high_risk": "medicines",
    "worried": "absences",
    "young": "numbers",
    "other": "conditions",
}
_GROUP_STYLE: dict[Group, Style] = {
    "high_risk": "detailed",
    "worried": "detailed",
    "young": "brief",
    "other": "brief",
}
_GROUP_MISSES: dict[Group, float] = {"high_risk": 0.0, "worried": 0.1, "young": 0.35, "other": 0.05}
_GROUP_SITE: dict[Group, Site] = {
    "high_risk": "hospital",
    "worried": "practice",
    "young": "student_clinic",
    "other": "midwives",
}
#: What the written habits of a site put first.
SITE_EMPHASIS: dict[Site, Concern] = {
    "hospital": "numbers",
    "practice": "medicines",
    "student_clinic": "absences",
    "midwives": "conditions",
}
#: Share of like women who have the outcome: with a risk factor that the guideline names, without one.
RISKS: dict[str, tuple[frozenset[str], float, float]] = {
    "gestational_diabetes": (frozenset({"pcos", "hypertension", "thyroid"}), 0.45, 0.1),
    "hypertension": (frozenset({"kidney_disease", "migraine", "migraine_aura", "diabetes", "hypertension"}), 0.6, 0.15),
}
_SUGARS, _RISES = (0.0, 4.0, 8.0), (0.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a patient shares with patients like her; ``clinicians`` are (id, name) of her site."""

    group: Group
    concern: Concern
    site: Site
    clinicians: tuple[tuple[str, str], ...]
    risks: dict[str, float]


def find_group(problems: frozenset[str], age: int) -> Group:
    """Find the group that a record shows."""
    if problems & {"hypertension", "diabetes", "kidney_disease", "clot", "epilepsy"}:
        return "high_risk"
    if problems & {"depression", "anxiety", "migraine", "migraine_aura"}:
        return "worried"
    return "young" if age < 28 else "other"


def draw_likeness(traits: Traits, age: int, patient: str) -> Likeness:
    """Draw what the patient shares with those of her group."""
    rng = random.Random(f"likeness/{patient}")
    group = find_group(traits.problems, age)
    concern = _GROUP_CONCERN[group] if rng.random() < LOYALTY else rng.choice(tuple(_GROUP_CONCERN.values()))
    site = _GROUP_SITE[group] if rng.random() < LOYALTY else rng.choice(tuple(_GROUP_SITE.values()))
    risks = {name: high if traits.problems & factors else low for name, (factors, high, low) in RISKS.items()}
    return Likeness(group, concern, site, _CLINICIANS[site], risks)


def apply_likeness(traits: Traits, likeness: Likeness, options: ClinicOptions, patient: str) -> Traits:
    """Replace the traits that like patients share, as far as the clinic's mechanisms ask for it."""
    rng = random.Random(f"shared/{patient}")
    loyal, sugar, rise = rng.random() < LOYALTY, rng.choice(_SUGARS), rng.choice(_RISES)
    ill = {name: rng.random() < likeness.risks[name] for name in sorted(likeness.risks)}
    if "shared_traits" in options.mechanisms and loyal:
        group = likeness.group
        traits = replace(traits, style=_GROUP_STYLE[group], misses=_GROUP_MISSES[group])
    if "quoted_outcomes" in options.mechanisms:
        chronic = 8.0 if "hypertension" in traits.problems else 0.0
        traits = replace(traits, hypertensive=(29.0 if ill["hypertension"] else rise) + chronic)
        if "diabetes" not in traits.problems:
            traits = replace(traits, sugar=44.0 if ill["gestational_diabetes"] else sugar)
    return traits


_NAMES: dict[Site, tuple[tuple[str, str], ...]] = {
    "hospital": (("Ingrid", "Vossberg"), ("Tomas", "Adeyemi")),
    "practice": (("Mirela", "Castellan"), ("Howard", "Nakagawa")),
    "student_clinic": (("Priya", "Lindqvist"), ("Owen", "Baptiste")),
    "midwives": (("Saoirse", "Kowalczyk"), ("Delphine", "Okonkwo")),
}
_CLINICIANS: dict[Site, tuple[tuple[str, str], ...]] = {
    site: tuple((fhir.derive_id("clinician", site, family), f"Dr. {given} {family}") for given, family in names)
    for site, names in _NAMES.items()
}


def build_clinicians(site: Site) -> list[Resource]:
    """Build the Practitioners of a site."""
    return [
        {
            "resourceType": "Practitioner",
            "id": identity,
            "name": [{"family": family, "given": [given], "prefix": ["Dr."]}],
        }
        for (identity, _), (given, family) in zip(_CLINICIANS[site], _NAMES[site], strict=True)
    ]
