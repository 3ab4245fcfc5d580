"""Cut the sample clinic down to a small one: its history, what its patients measure, and what they ask."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.fortnight.plan import FIRST_DAY
from pipelines.synthetic.records.fhir import written_time

Resource = dict[str, Any]
PATIENTS = 60
#: Measurements and visits older than this many years stay out of the history; what a record is read by stays.
YEARS = 3
REMADE_DAYS = 37  # more than the window of a drift's reference
DATED = frozenset({"Observation", "Encounter", "Procedure", "Immunization", "CarePlan"})
WEIGHT, PRESSURE, HAEMOGLOBIN, GLUCOSE, HEART_RATE = "29463-7", "85354-9", "718-7", "2345-7", "8867-4"
MEASURED = (WEIGHT, PRESSURE, HAEMOGLOBIN, GLUCOSE, HEART_RATE)
_PATIENT = re.compile(r'"Patient/([0-9a-f-]{36})"|"resourceType":"Patient","id":"([0-9a-f-]{36})"')


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
    """The small clinic: ``history`` by resource type, line by line, and its whole resources, patient by patient.

    ``measured`` are the newest measurements by patient and code, ``talks`` the conversations of the history.
    """

    patients: list[str]
    births: dict[str, str]
    history: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    resources: list[Resource] = field(default_factory=list)
    measured: dict[str, dict[str, Resource]] = field(default_factory=lambda: defaultdict(dict))
    talks: list[Talk] = field(default_factory=list)

    def list_history(self, code: str) -> Iterator[Resource]:
        """Yield the observations of a code that the history has."""
        return (one for one in self.resources if one["resourceType"] == "Observation" and code_of(one) == code)


def read_sample(clinic: Path) -> Sample:
    """Read the history of the patients who asked most; broken lines stay as they are."""
    first = min(path for path in clinic.iterdir() if path.is_dir())
    broken = _list_broken(clinic / "broken.jsonl")
    lines = {path.name: list(_read_lines(path)) for path in sorted(first.iterdir())}
    asked = Counter(patient for line in lines["Communication.ndjson.gz"] for patient in list(_find_patients(line))[:1])
    chosen = set(sorted(asked, key=lambda patient: (-asked[patient], patient))[:PATIENTS])
    sample = Sample(sorted(chosen), {})
    for name, found in lines.items():
        for number, line in enumerate(found, 1):
            if chosen.isdisjoint(_find_patients(line)) and not name.startswith("Practitioner"):
                continue
            whole = None if (f"{first.name}/{name}", number) in broken else json.loads(line)
            if whole is None or _is_kept(whole):
                sample.history[name.partition(".")[0]].append(line)
                _note(sample, whole)
    sample.births = {one["id"]: one["birthDate"] for one in sample.resources if one["resourceType"] == "Patient"}
    sample.talks = _find_talks(sample.resources)
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


def _list_broken(path: Path) -> set[tuple[str, int]]:
    """File and number of the lines that the sample clinic has broken on purpose."""
    return {(one["file"], one["line"]) for one in map(json.loads, path.read_text().splitlines())}


def _find_patients(line: str) -> Iterator[str]:
    """The patients whom a line names, also where it is torn."""
    return (found[1] or found[2] for found in _PATIENT.finditer(line))


def _is_kept(resource: Resource) -> bool:
    when = written_time(resource)
    if when is None:
        return True
    # the last month is made like the nights, so that they can be compared with it
    age = FIRST_DAY - when.date()
    return age > timedelta(days=REMADE_DAYS) and (
        resource["resourceType"] not in DATED or "focus" in resource or age < timedelta(days=365 * YEARS)
    )


def _note(sample: Sample, resource: Resource | None) -> None:
    """Note a whole resource; of measurements the newest by code, since the drop lists them by patient and time."""
    if resource is None or resource["resourceType"] == "Practitioner":
        return
    sample.resources.append(resource)
    if resource.get("status") != "final" or code_of(resource) not in MEASURED:
        return
    if all("valueQuantity" in part for part in resource.get("component", [resource])):
        sample.measured[patient_of(resource)][code_of(resource)] = resource


def _find_talks(resources: list[Resource]) -> list[Talk]:
    """The whole conversations, oldest first."""
    messages = {one["id"]: one for one in resources if one["resourceType"] == "Communication"}
    ratings = {one["focus"][0]["reference"].rpartition("/")[2]: one for one in resources if one.get("focus")}
    found = []
    for reply in messages.values():
        if reply.get("inResponseTo"):
            asked = messages.get(reply["inResponseTo"][0]["reference"].rpartition("/")[2])
            if asked:
                found.append(Talk(patient_of(asked), asked, reply, ratings.get(reply["id"])))
    return sorted(found, key=lambda talk: (talk.question["sent"], talk.question["id"]))
