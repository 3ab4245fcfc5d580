"""Recorded values that no clinician should overlook: a table of limits and their guidelines.

A row holds while its value is fresh; a critical value that has aged without a newer one is shown as a warning for a
while. ``who`` is ``maternal`` (pregnant, or within six weeks after a pregnancy), ``other`` or ``any``; of the rows of
one measure the first that a value reaches counts. Values, and their age, come from the feature row; nothing is
inferred.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from models.feature_row import read_number, read_text, read_time
from models.patient.bounds import (
    format_bound,
    format_preliminary,
    is_surely_at_least,
    is_surely_below,
    read_comparator,
)
from models.patient.gestational_age import read_pregnancy_state
from models.schema import FeatureRow
from models.templates import format_ago, look_up_label
from models.vocabulary import SIGNALS

Who = Literal["maternal", "other", "any"]
Urgency = Literal["warning", "critical"]
Language = Literal["en", "zh"]
PUERPERIUM_WEEKS = 6
AGED = timedelta(days=90)
WARNING = timedelta(days=30)
PRESSURES = ("systolic", "diastolic")
_SIGNAL = {signal.name: signal for signal in SIGNALS}

ACOG_767 = (
    "ACOG Committee Opinion 767",
    "https://www.acog.org/clinical/clinical-guidance/committee-opinion/articles/2019/02/"
    "emergent-therapy-for-acute-onset-severe-hypertension-during-pregnancy-and-the-postpartum-period",
)
NICE_NG133 = ("NICE NG133, hypertension in pregnancy", "https://www.nice.org.uk/guidance/ng133")
NICE_NG136 = ("NICE NG136, hypertension in adults", "https://www.nice.org.uk/guidance/ng136")
WHO_ANAEMIA = ("WHO 2024, haemoglobin cutoffs", "https://www.who.int/publications/i/item/9789240088542")
ADA_STANDARDS = ("ADA Standards of Care in Diabetes", "https://professional.diabetes.org/standards-of-care")
HYPERGLYCAEMIA = ("ADA/EASD 2024, hyperglycaemic crises", "https://doi.org/10.2337/dci24-0032")
NEWS2 = ("RCP, National Early Warning Score 2", "https://www.rcp.ac.uk/resources/national-early-warning-score-news-2/")
MEOWS = ("Singh 2012, obstetric early warning limits", "https://doi.org/10.1111/j.1365-2044.2011.06896.x")
HEAR_HER = ("CDC Hear Her, urgent maternal warning signs", "https://www.cdc.gov/hearher/maternal-warning-signs/")
SEPSIS = ("NICE NG255, suspected sepsis in pregnancy", "https://www.nice.org.uk/guidance/ng255")
PHQ9 = ("Kroenke 2001, PHQ-9", "https://doi.org/10.1046/j.1525-1497.2001.016009606.x")


@dataclass(frozen=True, slots=True)
class Limit:
    """One row: a value counts below ``low`` or from ``high``; ``second``: a diastolic ``high``.

    ``fresh`` are the days for which a value is current.
    """

    measure: str
    who: Who
    indicator: Urgency
    fresh: int
    guideline: tuple[str, str]
    says: dict[Language, str]
    low: float | None = None
    high: float | None = None
    second: float | None = None

    def is_reached(self, values: tuple[float, ...], comparators: tuple[str | None, ...]) -> bool:
        """Whether a value (of a pressure: either value) is beyond the limit, for certain where it is a bound."""
        below = self.low is not None and is_surely_below(values[0], comparators[0], self.low)
        above = self.high is not None and is_surely_at_least(values[0], comparators[0], self.high)
        second = self.second is not None and len(values) > 1
        return below or above or (second and is_surely_at_least(values[1], comparators[1], self.second or 0.0))


LIMITS: tuple[Limit, ...] = (
    Limit("pressure", "maternal", "critical", 7, ACOG_767, {
        "en": "severe hypertension in pregnancy or after birth",
        "zh": "妊娠期或产后重度高血压",
    }, high=160, second=110),
    Limit("pressure", "other", "critical", 7, NICE_NG136, {
        "en": "severe hypertension: same-day assessment", "zh": "重度高血压：当天评估",
    }, high=180, second=120),
    Limit("pressure", "maternal", "warning", 7, NICE_NG133, {
        "en": "hypertension in pregnancy or after birth: think of pre-eclampsia",
        "zh": "妊娠期或产后高血压：警惕子痫前期",
    }, high=140, second=90),
    Limit("pressure", "maternal", "warning", 3, MEOWS, {"en": "low blood pressure", "zh": "低血压"}, low=90),
    Limit("pressure", "other", "warning", 3, NEWS2, {"en": "low blood pressure", "zh": "低血压"}, low=91),
    Limit("haemoglobin", "maternal", "critical", 30, WHO_ANAEMIA, {
        "en": "severe anaemia in pregnancy or after birth", "zh": "妊娠期或产后重度贫血",
    }, low=7.0),
    Limit("haemoglobin", "other", "critical", 30, WHO_ANAEMIA, {"en": "severe anaemia", "zh": "重度贫血"}, low=8.0),
    Limit("haemoglobin", "maternal", "warning", 60, WHO_ANAEMIA, {
        "en": "moderate anaemia in pregnancy or after birth", "zh": "妊娠期或产后中度贫血",
    }, low=10.0),
    Limit("haemoglobin", "other", "warning", 60, WHO_ANAEMIA, {"en": "moderate anaemia", "zh": "中度贫血"}, low=11.0),
    Limit("glucose", "any", "critical", 3, ADA_STANDARDS, {
        "en": "clinically significant hypoglycaemia", "zh": "有临床意义的低血糖",
    }, low=54),
    Limit("glucose", "maternal", "critical", 3, HYPERGLYCAEMIA, {
        "en": "hyperglycaemia in pregnancy: check ketones", "zh": "妊娠期高血糖：检查酮体",
    }, high=200),
    Limit("glucose", "other", "critical", 3, HYPERGLYCAEMIA, {
        "en": "hyperglycaemia of a hyperosmolar state", "zh": "高渗性高血糖状态范围的血糖",
    }, high=600),
    Limit("glucose", "other", "warning", 7, ADA_STANDARDS, {
        "en": "glucose in the range of diabetes", "zh": "血糖达糖尿病范围",
    }, high=200),
    Limit("heart_rate", "maternal", "critical", 2, SEPSIS, {
        "en": "heart rate of a high risk of sepsis", "zh": "心率达脓毒症高风险界值",
    }, high=131),
    Limit("heart_rate", "maternal", "warning", 2, MEOWS, {"en": "fast heart rate", "zh": "心率过快"}, high=120),
    Limit("heart_rate", "other", "warning", 2, NEWS2, {"en": "very fast heart rate", "zh": "心率极快"}, high=131),
    Limit("temperature", "maternal", "warning", 3, HEAR_HER, {
        "en": "fever in pregnancy or after birth: think of infection", "zh": "妊娠期或产后发热：警惕感染",
    }, high=38.0),
    Limit("phq9", "any", "warning", 30, PHQ9, {
        "en": "severe depressive symptoms: ask about safety", "zh": "重度抑郁症状：询问安全状况",
    }, high=20),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CriticalValue:
    """A recorded value beyond a limit; ``stale`` where it has aged without a newer one."""

    limit: Limit
    value: str
    age: str
    indicator: Urgency
    stale: bool
    sources: tuple[str, ...]


def find_critical_values(row: FeatureRow, as_of: datetime, language: Language) -> list[CriticalValue]:
    """The values beyond a limit as of ``as_of``, the most urgent first."""
    who: Who = "maternal" if is_maternal(row, as_of) else "other"
    measures = dict.fromkeys(limit.measure for limit in LIMITS)
    found = [f for measure in measures for f in _find(row, as_of, measure, who, language)]
    return sorted(found, key=lambda f: f.indicator != "critical")


def _find(row: FeatureRow, as_of: datetime, measure: str, who: Who, language: Language) -> Iterator[CriticalValue]:
    names = PRESSURES if measure == "pressure" else (measure,)
    values = [read_number(row, f"{name}_latest") for name in names]
    times = {read_time(row, f"{name}_time") for name in names}
    at = times.pop()
    # two halves of different days are no pressure; a time after now is no recorded value
    if times or at is None or at > as_of or any(v is None for v in values):
        return
    known = tuple(v for v in values if v is not None)
    bounds = tuple(read_comparator(row, name) for name in names)
    reached = (m for m in LIMITS if m.measure == measure and m.who in (who, "any") and m.is_reached(known, bounds))
    limit = next(reached, None)
    indicator = _urgency(limit, as_of - at) if limit is not None else None
    if limit is None or indicator is None:
        return
    sources = tuple(dict.fromkeys(s for n in names if (s := read_text(row, f"{n}_source"))))
    stale = as_of - at > timedelta(days=limit.fresh)
    preliminary = next(filter(None, (format_preliminary(row, name, language) for name in names)), "")
    described = _describe(names, known, bounds, language) + preliminary
    yield CriticalValue(limit, described, format_ago(at, as_of, language), indicator, stale, sources)


def _urgency(limit: Limit, age: timedelta) -> Urgency | None:
    """How urgent a value of this age is; None where it is too old."""
    if age <= timedelta(days=limit.fresh):
        return limit.indicator
    lasts = AGED if limit.indicator == "critical" else max(WARNING, timedelta(days=limit.fresh))
    return "warning" if age <= lasts else None


def _describe(
    names: tuple[str, ...], values: tuple[float, ...], comparators: tuple[str | None, ...], language: Language
) -> str:
    signal = _SIGNAL[names[0]]
    shown = [format_bound(c, f"{v:.{signal.decimals}f}", language) for v, c in zip(values, comparators, strict=True)]
    if len(names) > 1:
        name = {"en": "blood pressure", "zh": "血压"}[language]
        return f"{name} {'/'.join(shown)} mmHg"
    unit = look_up_label("unit", signal.unit, f" {signal.unit}", language)
    return f"{look_up_label('signal', signal.name, signal.label, language)} {shown[0]}{unit}"


def is_maternal(row: FeatureRow, as_of: datetime) -> bool:
    """Whether the patient is pregnant, or within six weeks after a pregnancy."""
    state = read_pregnancy_state(row, as_of)
    after = state.postpartum
    return bool(state.pregnant) or (after is not None and after[0] < PUERPERIUM_WEEKS)


def has_critical_value(row: FeatureRow, as_of: datetime) -> bool:
    """Whether a current value is beyond a critical limit, so that no answer may reassure."""
    return any(found.indicator == "critical" for found in find_critical_values(row, as_of, "en"))
