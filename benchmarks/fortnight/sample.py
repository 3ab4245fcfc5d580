"""Cut the sample clinic down to a small one: its history, what its patients measure, and what they ask."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.fortnight.plan import FIRST_DAY
from pipelines.synthetic.records.fhir import parse_time, written_time

Resource = dict[str, Any]
PATIENTS = 60
#: Measurements and visits older than this many years stay out of the history; what a record is read by stays.
YEARS = 3
#: Conversations of the last days before the first night are moved into the nights.
MOVED_DAYS = 270
REMADE_DAYS = 37  # more than the window of a drift's reference
DATED = frozenset({"Observation", "Encounter", "Procedure", "Immunization", "CarePlan"})
WEIGHT, PRESSURE, HAEMOGLOBIN, GLUCOSE, HEART_RATE = "29463-7", "85354-9", "718-7", "2345-7", "8867-4"
MEASURED = (WEIGHT, PRESSURE, HAEMOGLOBIN, GLUCOSE, HEART_RATE)


@dataclass(slots=True)
class Talk:
    """A question with its reply and perhaps a rating."""

    patient: str
    question: Resource
    reply: Resource
    rating: Resource | None = None

    @property
    def text(self) -> str:
        """The words of the question."""
        return str(self.question["payload"][0]["contentString"])


@dataclass(slots=True)
class Sample:
    """The small clinic: ``history`` by resource type, line by line; newest measurements by patient and code."""

    patients: list[str]
    births: dict[str, str]
    history: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    measured: dict[str, dict[str, Resource]] = field(default_factory=lambda: defaultdict(dict))
    talks: list[Talk] = field(default_factory=list)

    def list_history(self, code: str) -> Iterator[Resource]:
        """Yield the observations of a code that the history has."""
        for line in self.history["Observation"]:
            if f'"{code}"' in line and (found := _parse(line)) and code_of(found) == code:
                yield found


def read_sample(clinic: Path) -> Sample:
    """Read the history of the patients who asked most; broken lines stay as they are."""
    first = min(path for path in clinic.iterdir() if path.is_dir())
    lines = {path.name.partition(".")[0]: list(_read_lines(path)) for path in sorted(first.iterdir())}
    patients = _choose_patients(lines["Communication"])
    births = {r["id"]: r["birthDate"] for line in lines["Patient"] if (r := _parse(line)) and "birthDate" in r}
    sample = Sample(patients, {patient: births[patient] for patient in patients})
    talks = _find_talks(lines, set(patients))
    moved = {r["id"] for talk in talks for r in (talk.question, talk.reply, talk.rating) if r}
    for kind, found in lines.items():
        for line in found:
            if kind != "Practitioner" and not any(patient in line for patient in patients):
                continue
            resource = _parse(line)
            if resource is None or (resource.get("id") not in moved and _is_recent(kind, resource)):
                sample.history[kind].append(line)
                _note_measured(sample, resource)
    sample.talks = talks
    return sample


def code_of(resource: Resource) -> str:
    """The first code of an observation."""
    return str(resource.get("code", {}).get("coding", [{}])[0].get("code", ""))


def patient_of(resource: Resource) -> str:
    """The id of the patient whom a resource is about."""
    return str(resource.get("subject", {}).get("reference", "")).rpartition("/")[2]


def _read_lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        yield from (line.rstrip("\n") for line in stream)


def _parse(line: str) -> Resource | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _choose_patients(lines: list[str]) -> list[str]:
    asked = Counter(patient_of(r) for line in lines if (r := _parse(line)) and "inResponseTo" not in r)
    asked.pop("", None)
    return sorted(sorted(asked, key=lambda patient: (-asked[patient], patient))[:PATIENTS])


def _is_recent(kind: str, resource: Resource) -> bool:
    if "focus" in resource:
        return True
    try:
        when = written_time(resource)
    except (ValueError, TypeError):  # one of the sample's broken lines
        return True
    if when is None:
        return True
    # the last month is made like the nights, so that they can be compared with it
    age = FIRST_DAY - when.date()
    return age > timedelta(days=REMADE_DAYS) and (kind not in DATED or age < timedelta(days=365 * YEARS))


def _note_measured(sample: Sample, resource: Resource | None) -> None:
    """Note the newest whole measurement of each code; the drop lists them by patient and time."""
    if resource is None or resource.get("status") != "final" or code_of(resource) not in MEASURED:
        return
    if all("valueQuantity" in part for part in resource.get("component", [resource])):
        sample.measured[patient_of(resource)][code_of(resource)] = resource


def _find_talks(lines: dict[str, list[str]], patients: set[str]) -> list[Talk]:
    """The whole conversations of the last ``MOVED_DAYS`` days, oldest first."""
    messages = {r["id"]: r for line in lines["Communication"] if (r := _parse(line)) and "id" in r}
    ratings = {
        r["focus"][0]["reference"].rpartition("/")[2]: r
        for line in lines["Observation"]
        if '"focus"' in line and (r := _parse(line)) and r.get("focus")
    }
    found = []
    for reply in messages.values():
        if not reply.get("inResponseTo"):
            continue
        asked = messages.get(reply["inResponseTo"][0]["reference"].rpartition("/")[2])
        if asked and patient_of(asked) in patients and _is_moved(asked) and _is_moved(reply):
            found.append(Talk(patient_of(asked), asked, reply, ratings.get(reply["id"])))
    return sorted(found, key=lambda talk: (talk.question["sent"], talk.question["id"]))


def _is_moved(message: Resource) -> bool:
    try:
        sent = parse_time(str(message["sent"])).date()
    except (KeyError, ValueError):  # a broken line
        return False
    return timedelta() < FIRST_DAY - sent <= timedelta(days=MOVED_DAYS)
