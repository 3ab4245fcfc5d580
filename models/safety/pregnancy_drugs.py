"""Find drugs that are contraindicated in pregnancy or while breastfeeding.

The table is ``template_files/pregnancy_drugs.yaml``, a class a row, each with its public source. A pregnancy without a
week is taken for any week. Where nothing is known of a pregnancy, what harms at every week counts. Nobody's record
says whether she breastfeeds: up to a year after birth she is taken to. The paper has no counterpart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml

from models.safety.drug_names import compile_drug_names, load_substances
from models.safety.triage.text_normalization import normalize_text
from models.templates import TEMPLATES

State = Literal["pregnancy", "breastfeeding"]
Language = Literal["en", "zh"]
Severity = Literal["critical", "warning"]
BREASTFEEDING_WEEKS = 52
_DOSE = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*(?:mg\b|milligrams?|毫克)")


@dataclass(frozen=True, slots=True)
class Contraindication:
    """Why a drug is not for a state: the class, how grave, its wording by language, and the source."""

    drug_class: str
    state: State
    indicator: Severity
    source: str
    wording: dict[Language, str]


@dataclass(frozen=True, slots=True, eq=False)
class PregnancyDrugRow:
    """One row of the table for one state; ``weeks`` are completed weeks, the last excluded."""

    reason: Contraindication
    names: re.Pattern[str]
    weeks: tuple[int, int]
    least_mg: float

    def applies(self, pregnant: bool | None, weeks: int | None, postpartum_weeks: int | None) -> bool:
        """Whether the patient is in the state, or may be."""
        if self.reason.state == "breastfeeding":
            return pregnant is not True and postpartum_weeks is not None and postpartum_weeks <= BREASTFEEDING_WEEKS
        if pregnant is None:
            return self.weeks == _ANY_WEEK and postpartum_weeks is None
        return pregnant and (weeks is None or self.weeks[0] <= weeks < self.weeks[1])

    def names_drug(self, text: str) -> bool:
        """Whether a normalised text names a drug of the row, in a dose that counts."""
        if not self.names.search(text):
            return False
        doses = [float(m[1].replace(",", "")) for m in _DOSE.finditer(text)]
        return not self.least_mg or any(dose >= self.least_mg for dose in doses)


_ANY_WEEK = (0, 45)


@cache
def load_rows() -> tuple[PregnancyDrugRow, ...]:
    """The table, one row per class and state."""
    rows: list[dict[str, Any]] = yaml.safe_load((TEMPLATES / "pregnancy_drugs.yaml").read_text("utf-8"))
    return tuple(_build_row(row, state) for row in rows for state in ("pregnancy", "breastfeeding") if state in row)


def _build_row(row: dict[str, Any], state: State) -> PregnancyDrugRow:
    about, table = row[state], load_substances()
    names = frozenset(normalize_text(n) for drug in row["drugs"] for n in (drug, *table.get(drug, ())))
    # nobody's record says whether she breastfeeds, so such a card never claims more than a warning
    indicator: Severity = row.get("indicator", "critical") if state == "pregnancy" else "warning"
    wording: dict[Language, str] = {"en": about["en"], "zh": about["zh"]}
    reason = Contraindication(row["class"], state, indicator, about["source"], wording)
    start, below = about.get("weeks", _ANY_WEEK)
    return PregnancyDrugRow(reason, compile_drug_names(names), (start, below), float(row.get("least_mg", 0)))


def find_contraindications(
    text: str, pregnant: bool | None, weeks: int | None = None, postpartum_weeks: int | None = None
) -> Iterator[Contraindication]:
    """Find what speaks against the drugs that a normalised text names, such as a draft order's medicine.

    ``weeks`` and ``postpartum_weeks`` are completed weeks as of :func:`read_pregnancy_state`; None is unknown.
    """
    for row in load_rows():
        if row.applies(pregnant, weeks, postpartum_weeks) and row.names_drug(text):
            yield row.reason
