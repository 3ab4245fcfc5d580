"""Find what in the record speaks against draft medicine orders: allergies, pregnancy, a recent birth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bentos.cds.cds_types import Indicator
from bentos.cds.draft_orders import DraftOrder
from models.patient.gestational_age import PregnancyState, read_pregnancy_state
from models.prompt.sentences.pinned import list_drug_allergies
from models.safety.drug_names import find_drug_words, mentions_drug
from models.safety.pregnancy_drugs import find_contraindications
from models.schema import FeatureRow
from models.vocabulary import list_drug_classes
from pmlm.api_types import Language

#: Classes within which an allergy to one member counts against the others.
CROSS_REACTING = frozenset({"nsaid", "ace_inhibitor"})

FDA_NSAID = (
    "FDA Drug Safety Communication, NSAIDs from 20 weeks",
    "https://www.fda.gov/drugs/drug-safety-and-availability/fda-recommends-avoiding-use-nsaids-pregnancy-20-weeks-or-"
    "later-because-they-can-result-low-amniotic",
)
FDA_LABEL = ("FDA labelling, use in pregnancy", "https://dailymed.nlm.nih.gov/dailymed/")
US_MEC = (
    "CDC, US Medical Eligibility Criteria for Contraceptive Use, 2024",
    "https://www.cdc.gov/contraception/hcp/usmec/",
)


@dataclass(frozen=True, slots=True)
class Caution:
    """A medicine to avoid in pregnancy or after birth; ``weeks_from`` is a completed week."""

    words: tuple[str, ...]
    state: Literal["pregnant", "postpartum"]
    indicator: Indicator
    guideline: tuple[str, str | None]
    says: dict[Language, str]
    weeks_from: int = 0
    weeks_below: int = 100


#: What the answer check's table of drugs in pregnancy does not say; the first that applies is shown.
CAUTIONS: tuple[Caution, ...] = (
    Caution(("ibuprofen", "naproxen", "diclofenac", "ketorolac", "meloxicam", "indomethacin", "celecoxib"),
            "pregnant", "critical", FDA_NSAID, {
                "en": "an NSAID from 30 weeks may close the ductus arteriosus",
                "zh": "妊娠30周后使用非甾体抗炎药可致动脉导管早闭"}, weeks_from=30),
    Caution(("carbamazepine", "phenytoin", "fluconazole"),
            "pregnant", "warning", FDA_LABEL, {
                "en": "risk to the fetus: weigh alternatives", "zh": "对胎儿有风险：考虑替代药物"}),
    Caution(("ethinyl", "estradiol", "estrogen", "oestrogen", "seasonique", "levora", "natazia", "nuvaring"),
            "postpartum", "critical", US_MEC, {
                "en": "combined hormonal contraception within 21 days after birth: risk of clots (category 4)",
                "zh": "产后21天内使用复方激素避孕：血栓风险（4级）"}, weeks_below=3),
    Caution(("ethinyl", "estradiol", "estrogen", "oestrogen", "seasonique", "levora", "natazia", "nuvaring"),
            "postpartum", "warning", US_MEC, {
                "en": "combined hormonal contraception within 42 days after birth: check her other risks of clots",
                "zh": "产后42天内使用复方激素避孕：核查其他血栓风险"}, weeks_below=6),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OrderAlert:
    """What speaks against an order: an allergy (perhaps only ``related``), or a caution."""

    order: DraftOrder
    indicator: Indicator
    allergy: str = ""
    related: bool = False
    caution: Caution | None = None


def find_alerts(row: FeatureRow, as_of: datetime, orders: Iterable[DraftOrder]) -> list[OrderAlert]:
    """Alerts, the most urgent first; at most one allergy and one caution per order."""
    state = read_pregnancy_state(row, as_of)
    allergies = list_drug_allergies(row)
    found = [
        a for order in orders if order.names for a in (*_find_allergy(order, allergies), *_find_caution(order, state))
    ]
    return sorted(found, key=lambda a: a.indicator != "critical")


def _find_allergy(order: DraftOrder, allergies: tuple[str, ...]) -> Iterator[OrderAlert]:
    for name in allergies:
        if mentions_drug(order.text, find_drug_words(name)):
            yield OrderAlert(order, "critical", allergy=name)
            return
    ordered = CROSS_REACTING.intersection(list_drug_classes(order.text))
    for name in allergies:
        if ordered.intersection(list_drug_classes(name)):
            yield OrderAlert(order, "warning", allergy=name, related=True)
            return


def _find_caution(order: DraftOrder, state: PregnancyState) -> Iterator[OrderAlert]:
    for caution in CAUTIONS:
        if _mentions(order.text, caution.words) and _applies(caution, state):
            yield OrderAlert(order, caution.indicator, caution=caution)
            return
    weeks = None if state.age is None else state.age[1] // 7
    since_birth = None if state.postpartum is None else state.postpartum[0]
    for reason in find_contraindications(order.text, state.pregnant is True, weeks, since_birth):
        when: Literal["pregnant", "postpartum"] = "pregnant" if reason.state == "pregnancy" else "postpartum"
        caution = Caution((), when, reason.indicator, (reason.source, None), reason.wording)
        yield OrderAlert(order, caution.indicator, caution=caution)
        return


def _applies(caution: Caution, state: PregnancyState) -> bool:
    if caution.state == "pregnant":
        if state.age is None:  # of a pregnancy without a date, a critical week is not claimed, a warning is given
            return bool(state.pregnant) and (caution.weeks_from == 0 or caution.indicator == "warning")
        least, greatest = state.age
        return (least if caution.indicator == "critical" else greatest) // 7 >= caution.weeks_from
    return not state.pregnant and state.postpartum is not None and state.postpartum[0] < caution.weeks_below


def _mentions(text: str, words: Any) -> bool:
    return any(re.search(rf"(?<![a-z]){re.escape(word.strip())}", text) for word in words if word.strip())
