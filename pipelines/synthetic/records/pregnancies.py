"""Date a patient's Synthea pregnancies, and add at most one for the present.

Synthea's modules wait whole weeks between visits, so its births come 46–50 weeks after the onset it records. Dating
follows the birth: the expected date is set within ten days of it, and the start is 280 days before. A Synthea
pregnancy still early at the last drop has had no dating scan: its gestational age is unknown.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from models.patient.gestational_age import TERM
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.calendar import Calendar, moment
from pipelines.synthetic.records.fhir import Resource, event_time, parse_time
from pipelines.synthetic.records.problems import FOLIC_ACID
from pipelines.synthetic.records.traits import Traits

NORMAL_PREGNANCY = ("72892002", "Normal pregnancy (finding)")
BIRTHS = frozenset({"386216000", "11466000", "177141003", "177184002", "236974004"})
BIRTH = ("386216000", "Human parturition, function (observable entity)")
_SYNTHEA_TERM = timedelta(days=340)
_LOSS = timedelta(days=200)
_SCAN = timedelta(days=126)
_UNDATED_SHARE = 0.2
_LATEST_ONSET = timedelta(days=70)  # before the first drop, so that the record knows of the pregnancy
Dating = Literal["edd", "lmp"]
_DATINGS: tuple[Dating, ...] = ("edd", "edd", "lmp")


@dataclass(frozen=True, slots=True)
class Pregnancy:
    """One pregnancy: ``start`` is the first day of the last period, ``ended`` birth or loss.

    ``onset`` and ``over`` bound the pregnancy condition in the record. ``dating`` is the observation that dates it.
    """

    start: date
    due: date
    onset: datetime
    ended: date | None
    over: datetime | None
    birth: bool
    dating: Dating | None
    dated_on: datetime | None
    added: bool

    def days(self, when: datetime) -> int:
        """Days of gestation at ``when``."""
        return (when.date() - self.start).days

    def is_ongoing(self, when: datetime) -> bool:
        """Whether the pregnancy is ongoing at ``when``."""
        return self.start <= when.date() and (self.ended is None or when.date() < self.ended)


def date_synthea_pregnancies(resources: list[Resource], patient: str) -> list[Pregnancy]:
    """Date the pregnancies Synthea recorded: four in five of those that reached a scan."""
    births = [
        happened
        for r in resources
        if r["resourceType"] == "Procedure" and any(code in BIRTHS for _, code, _ in fhir.read_codings(r["code"]))
        if (happened := event_time(r))
    ]
    found = []
    for r in resources:
        if r["resourceType"] != "Condition" or NORMAL_PREGNANCY[0] not in {
            c for _, c, _ in fhir.read_codings(r["code"])
        }:
            continue
        onset, over = (
            parse_time(r["onsetDateTime"]),
            parse_time(r["abatementDateTime"]) if "abatementDateTime" in r else None,
        )
        found.append(_date_pregnancy(r["id"], onset, over, [b for b in births if onset < b <= (over or b)]))
    return found


def _date_pregnancy(identity: str, onset: datetime, over: datetime | None, births: list[datetime]) -> Pregnancy:
    rng = random.Random(f"dating/{identity}")
    birth = births[0] if births else None
    loss = over is not None and birth is None and over - onset < _LOSS
    due = ((birth or onset + _SYNTHEA_TERM) + timedelta(days=rng.randint(-7, 9))).date()
    undated = loss or rng.random() < _UNDATED_SHARE
    ended = birth or over
    return Pregnancy(
        start=due - TERM,
        due=due,
        onset=onset,
        ended=ended.date() if ended else None,
        over=over,
        birth=not loss and ended is not None,
        dating=None if undated else rng.choice(_DATINGS),
        dated_on=None if undated else onset + _SCAN + timedelta(hours=1),
        added=False,
    )


def add_pregnancy(
    traits: Traits, patient: str, birth: date, own: list[Pregnancy], calendar: Calendar, spread: bool = False
) -> Pregnancy | None:
    """Add the pregnancy of the patient's stage, unless another overlaps or age is under 18.

    With ``spread`` every patient has one, ending on any day from the portal's opening to nine months after the first
    drop, so that a question about pregnancy is as likely early as late.
    """
    rng = random.Random(f"pregnancy/{patient}")
    ahead = timedelta(days=rng.randint(-275, -55))  # minus the gestational age on the first drop's day
    since = timedelta(days=rng.randint(3, 190))  # time since the birth
    early = timedelta(days=rng.randint(-6, 12))  # birth before (+) or after (-) the due date
    long_ago = timedelta(days=rng.randint(240, 420))
    undated, dating = rng.random() < _UNDATED_SHARE, rng.choice(_DATINGS)
    if spread:
        start, ended = _spread_pregnancy(patient, early, calendar)
    elif traits.stage == "none":
        return None
    elif traits.stage == "pregnant":
        start = calendar.history + ahead
        ended = born if (born := start + TERM - early) <= calendar.last else None
    else:
        ended = calendar.history - (since if traits.stage == "postpartum" else long_ago)
        start = ended - TERM + early
    clear = timedelta(weeks=10)
    until = (ended or start + TERM) + clear
    blocked = any(p.onset.date() - clear < until and (p.ended is None or p.ended + clear > start) for p in own)
    if blocked or (start - birth).days < 18 * 365.25:
        return None
    onset = moment(start + timedelta(days=rng.randint(40, 56)), 10)
    return Pregnancy(
        start=start,
        due=start + TERM,
        onset=onset,
        ended=ended,
        over=moment(ended, 23) if ended else None,
        birth=ended is not None,
        dating=None if undated else dating,
        dated_on=None if undated else onset + timedelta(days=rng.randint(20, 40), hours=1),
        added=True,
    )


def _spread_pregnancy(patient: str, early: timedelta, calendar: Calendar) -> tuple[date, date | None]:
    """Draw start and end uniformly; the end is None where it is still to come."""
    open_days = (calendar.history - calendar.portal_opens).days + TERM.days - _LATEST_ONSET.days
    born = calendar.portal_opens + timedelta(days=random.Random(f"spread/{patient}").randint(1, open_days))
    return born - TERM + early, born if born <= calendar.last else None


def record_pregnancy(pregnancy: Pregnancy, patient: str) -> list[Resource]:
    """Build a pregnancy's resources: dating; condition, birth and folic acid where added."""
    name = (patient, pregnancy.start.isoformat())
    return [
        *_build_dating(pregnancy, patient, name),
        *(_build_course(pregnancy, patient, name) if pregnancy.added else ()),
    ]


def _build_dating(pregnancy: Pregnancy, patient: str, name: tuple[str, str]) -> Iterator[Resource]:
    if pregnancy.dating is None or pregnancy.dated_on is None:
        return
    code, display, day = {
        "edd": ("11778-8", "Delivery date Estimated", pregnancy.due),
        "lmp": ("8665-2", "Last menstrual period start date", pregnancy.start),
    }[pregnancy.dating]
    concept = fhir.build_concept(fhir.LOINC, code, display)
    identity = fhir.derive_id("dating", *name)
    yield fhir.build_observation(identity, patient, concept, pregnancy.dated_on, valueDateTime=day.isoformat())


def _build_course(pregnancy: Pregnancy, patient: str, name: tuple[str, str]) -> Iterator[Resource]:
    concept = fhir.build_concept(fhir.SNOMED, *NORMAL_PREGNANCY)
    yield fhir.build_condition(fhir.derive_id("pregnancy", *name), patient, concept, pregnancy.onset, pregnancy.over)
    authored = pregnancy.onset + timedelta(minutes=30)
    yield fhir.build_medication(fhir.derive_id("folic", *name), patient, FOLIC_ACID, authored)
    if pregnancy.birth and pregnancy.ended:
        yield fhir.build_procedure(fhir.derive_id("birth", *name), patient, BIRTH, moment(pregnancy.ended, 4, 30))
