"""More ways to state a pregnancy, its date and its end, with what each means on 2026-06-10.

The right values follow from the codes' published titles (LOINC, SNOMED CT, ICD-10, ICD-10-CM, ICD-10-PCS, CPT) and from
FHIR R4; 30 weeks and 2 days lie between 2025-11-10 and that day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SNOMED, LOINC, CM, ICD10 = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://hl7.org/fhir/sid/icd-10",
)
CPT, PCS = "http://www.ama-assn.org/go/cpt", "http://www.cms.gov/Medicare/Coding/ICD10"
LAST, BIRTH, DUE = "2026-06-10", "2026-06-02", "2026-08-17"

Resource = dict[str, Any]


def name_resource(kind: str, woman: str, name: str, **more: Any) -> Resource:
    whose = "patient" if kind in ("EpisodeOfCare", "RelatedPerson") else "subject"
    return {"resourceType": kind, "id": f"{woman}{name}", whose: {"reference": f"Patient/{woman}"}} | more


def code(system: str, value: str, display: str = "") -> Resource:
    return {"coding": [{"system": system, "code": value} | ({"display": display} if display else {})]}


def condition(woman: str, value: str, onset: str, system: str = SNOMED, name: str = "c", **more: Any) -> Resource:
    status = {"coding": [{"code": "active"}]}
    return name_resource("Condition", woman, name, code=code(system, value), onsetDateTime=onset, recordedDate=onset,
                         clinicalStatus=status) | more  # fmt: skip


def observation(woman: str, value: str, day: str, name: str, system: str = LOINC, **stated: Any) -> Resource:
    found = name_resource("Observation", woman, name, status="final", code=code(system, value), effectiveDateTime=day)
    return found | stated


def procedure(woman: str, system: str, value: str, day: str = BIRTH, display: str = "", **more: Any) -> Resource:
    done = name_resource("Procedure", woman, "p", status="completed", code=code(system, value, display))
    return done | {"performedDateTime": day} | more


def pregnant(woman: str) -> list[Resource]:
    """A pregnancy at term, as ``pmlm patient`` would go on believing without news of its end."""
    due = observation(woman, "11778-8", "2026-02-01", "e", valueDateTime="2026-06-08")
    return [condition(woman, "237239003", "2025-10-01"), due]


def say_pregnant(woman: str, day: str = "2026-05-01") -> Resource:
    return observation(woman, "82810-3", day, "s", valueCodeableConcept=code(SNOMED, "77386006"))


def build_episode(woman: str, **more: Any) -> Resource:
    return name_resource("EpisodeOfCare", woman, "e", status="active", type=[{"text": "Antenatal care"}],
                         period={"start": "2025-12-01"}) | more  # fmt: skip


def state_age(woman: str, value: str, **stated: Any) -> list[Resource]:
    return [observation(woman, value, LAST, "a", **stated)]


RESOLVED = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
EXTENDED = [{"url": "https://ehr.example/fhir/negated", "valueBoolean": True}]

#: Patient → what the last drop states.
MORE: dict[str, list[Resource]] = {
    # dated to the day
    "coded": [observation("coded", "161714006", "2026-03-01", "e", SNOMED, valueDateTime=DUE)],
    "period": [say_pregnant("period"), observation("period", "21840007", "2026-01-05", "l", SNOMED,
                                                   valueDateTime="2025-11-10")],
    "conceived": [observation("conceived", "53692-0", "2026-02-01", "e", valueDateTime=DUE)],
    "sevenths": state_age("sevenths", "18185-9", valueQuantity={"value": 30.29, "code": "wk"}),
    "written": state_age("written", "11884-4", valueString="30w2d"),
    "parts": state_age("parts", "49051-6", valueQuantity={"value": 30, "code": "wk"}, component=[
        {"code": code(LOINC, "49052-4"), "valueQuantity": {"value": 2, "code": "d"}}]),
    "far": [observation("far", "11778-8", "2026-02-01", "e", valueDateTime="2026-08-17T00:30:00+14:00")],
    "transfer": [
        observation("transfer", "11778-8", "2026-01-01", "e", valueDateTime=DUE, method={"text": "IVF transfer"}),
        observation("transfer", "11781-2", "2026-02-01", "u", valueDateTime="2026-08-01"),
    ],
    "corrected": [observation("corrected", "11778-8", "2026-02-01", "e", valueDateTime="2026-07-01",
                              meta={"lastUpdated": "2026-05-01T08:00:00Z"})],
    # pregnant, in part dated or not at all
    "tenths": state_age("tenths", "11884-4", valueQuantity={"value": 30.2, "unit": "weeks"}),
    "trimester": [condition("trimester", "Z34.03", "2026-05-20", CM)],
    "weekcode": [condition("weekcode", "Z3A.30", "2026-06-08", CM)],
    "severe": [condition("severe", "O14.13", "2026-05-30", CM)],
    "stress": [procedure("stress", CPT, "59025", "2026-06-01")],
    "yearly": [say_pregnant("yearly"), observation("yearly", "11778-8", "2026-03-01", "e", valueDateTime="2026")],
    "beyond": [say_pregnant("beyond"), *state_age("beyond", "11884-4", valueQuantity={
        "value": 30, "code": "wk", "comparator": ">"})],
    "threatened": [condition("threatened", "O20.0", "2026-05-30", CM)],
    "pair": [say_pregnant("pair"), observation("pair", "55281-0", "2026-05-01", "n", valueInteger=2)],
    # not ended by what was not done
    "error": [*pregnant("error"), procedure("error", CPT, "59400", status="entered-in-error")],
    "undone": [*pregnant("undone"), procedure("undone", SNOMED, "11466000", status="not-done")],
    # denied, suspected, of another, of the future, too long ago, of somebody else
    "no": [observation("no", "11449-6", "2026-05-01", "s", valueCodeableConcept=code(LOINC, "LA32-8"))],
    "unsure": [observation("unsure", "82810-3", "2026-05-01", "s", valueCodeableConcept=code(SNOMED, "261665006"))],
    "asked": [observation("asked", "8665-2", "2026-05-01", "l", valueDateTime="2026-04-20")],
    "modified": [condition("modified", "77386006", "2026-02-01", modifierExtension=EXTENDED)],
    "refuted": [condition("refuted", "77386006", "2026-02-01", verificationStatus={"coding": [{"code": "refuted"}]})],
    "maybe": [condition("maybe", "77386006", "2026-02-01", verificationStatus={"coding": [{"code": "provisional"}]})],
    "partner": [say_pregnant("partner") | {"focus": [{"reference": "RelatedPerson/r", "display": "Partner"}]}],
    "coming": [observation("coming", "11778-8", "2026-06-01", "e", valueDateTime="2027-06-01")],
    "before": [condition("before", "Z87.59", "2026-02-01", CM)],
    "nursing": [condition("nursing", "Z39.1", "2026-06-01", CM)],
    "ago": [say_pregnant("ago", "2025-05-01")],
    # ended, each in its own way
    "born": [*pregnant("born"), condition("born", "Z37.1", BIRTH, CM, "d")],
    "section": [*pregnant("section"), condition("section", "O82.1", BIRTH, ICD10, "d")],
    "stopped": [*pregnant("stopped"), condition("stopped", "O06.9", BIRTH, ICD10, "d")],
    "older": [*pregnant("older"), condition("older", "V27.0", BIRTH, "http://hl7.org/fhir/sid/icd-9-cm", "d")],
    "low": [*pregnant("low"), procedure("low", PCS, "10D00Z1")],
    "tubal": [*pregnant("tubal"), procedure("tubal", PCS, "10T24ZZ")],
    "billed": [*pregnant("billed"), procedure("billed", CPT, "59514")],
    "ectopic": [*pregnant("ectopic"), procedure("ectopic", CPT, "59151")],
    "still": [*pregnant("still"), condition("still", "237364002", BIRTH, name="d")],
    "lost": [*pregnant("lost"), condition("lost", "19169002", BIRTH, name="d")],
    "dated": [*pregnant("dated"), observation("dated", "93857-1", BIRTH, "o", valueDateTime=BIRTH)],
    "named": [*pregnant("named"), procedure("named", SNOMED, "999999999", display="Repeat cesarean section")],
    "within": [pregnant("within")[0] | RESOLVED | {"abatementPeriod": {"start": "2026-06-01", "end": "2026-06-03"}},
               pregnant("within")[1]],
    # ended at an unknown time
    "words": [pregnant("words")[0] | {"abatementString": "after the birth"}, pregnant("words")[1]],
    "aged": [pregnant("aged")[0] | {"abatementAge": {"value": 31, "code": "a"}}, pregnant("aged")[1]],
    "unending": [build_episode("unending", status="finished"), pregnant("unending")[1]],
    "monthly": [*pregnant("monthly"), procedure("monthly", SNOMED, "11466000", "2026-06")],
    "puerperal": [condition("puerperal", "O14.15", "2026-06-09", CM)],
}  # fmt: skip

#: What the drop of 2026-06-01 states of some of them.
EARLIER: list[Resource] = [
    pregnant("words")[0],
    pregnant("aged")[0],
    build_episode("unending"),
    observation("corrected", "11778-8", "2026-02-01", "e", valueDateTime=DUE,
                meta={"lastUpdated": "2026-05-20T08:00:00Z"}),
]  # fmt: skip

EXACT = {"pregnant": "yes", "gestational_weeks": 30, "gestational_days": 2}
VAGUE = {"pregnant": "yes", "gestational_weeks": None, "gestational_days": None}
TERM = {"pregnant": "yes", "gestational_weeks": 40, "gestational_days": 2}
UNKNOWN = {"pregnant": "unknown", "gestational_weeks": None, "postpartum_weeks": None, "postpartum_range": None}
ENDED = {"pregnant": "no", "gestational_weeks": None, "postpartum_weeks": 1}
SOME_TIME = {"pregnant": "no", "postpartum_weeks": None, "postpartum_range": (0, 1)}
MORE_RIGHT: dict[str, Mapping[str, Any]] = {
    **dict.fromkeys(
        ("coded", "period", "conceived", "sevenths", "written", "parts", "far", "transfer", "corrected"), EXACT
    ),
    "tenths": {"pregnant": "yes", "gestational_weeks": 30, "gestational_days": None},
    **dict.fromkeys(
        ("trimester", "weekcode", "severe", "stress", "yearly", "beyond", "threatened", "pair"), VAGUE
    ),
    **dict.fromkeys(("error", "undone"), TERM),
    "no": {"pregnant": "no", "postpartum_weeks": None},
    **dict.fromkeys(
        ("unsure", "asked", "modified", "refuted", "maybe", "partner", "coming", "before", "nursing"),
        UNKNOWN | {"overdue": False},
    ),
    "ago": UNKNOWN | {"overdue": True},
    **dict.fromkeys(
        ("born", "section", "stopped", "older", "low", "tubal", "billed", "ectopic", "still", "lost", "dated", "named",
         "within"), ENDED
    ),
    **dict.fromkeys(("words", "aged", "unending", "monthly"), SOME_TIME),
    "puerperal": {"pregnant": "no", "postpartum_weeks": None},
}  # fmt: skip
