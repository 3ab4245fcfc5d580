"""A patient's identifiers and clinicians, and how they slip into messages.

They are in the raw records on purpose, to prove that none of them passes the de-identification of the records stage.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date

from pipelines.synthetic.records.fhir import Resource

#: Share of questions that contain an identifier of the patient.
PERSONAL_SHARE = 0.09


@dataclass(frozen=True, slots=True)
class Identity:
    """One patient's identifiers; ``clinicians`` are (id, name) of those who reply."""

    patient: str
    given: str
    name: str
    birth: date
    phone: str
    email: str
    street: str
    record_number: str
    clinicians: tuple[tuple[str, str], ...]


def read_identity(resources: list[Resource]) -> Identity:
    """Read the identity from Synthea's Patient and the record's first three Practitioners."""
    patient = next(r for r in resources if r["resourceType"] == "Patient")
    name = patient["name"][0]
    telecom = {t["system"]: t["value"] for t in patient["telecom"]}
    numbers = {i["type"]["coding"][0]["code"]: i["value"] for i in patient["identifier"] if "type" in i}
    clinicians = [
        (r["id"], " ".join(["Dr.", r["name"][0]["given"][0], r["name"][0]["family"]]))
        for r in resources
        if r["resourceType"] == "Practitioner"
    ]
    return Identity(
        patient["id"],
        name["given"][0],
        f"{name['given'][0]} {name['family']}",
        date.fromisoformat(patient["birthDate"]),
        telecom["phone"],
        telecom["email"],
        patient["address"][0]["line"][0],
        numbers["MR"],
        tuple(clinicians[:3]),
    )


def draw_personal_note(identity: Identity, rng: random.Random) -> str | None:
    """Draw a sentence with an identifier for about one question in eleven; else None."""
    if rng.random() >= PERSONAL_SHARE:
        return None
    doctor = rng.choice(identity.clinicians)[1]
    return rng.choice(
        (
            f"This is {identity.given}, call me on {identity.phone}.",
            f"{identity.name}, born {identity.birth:%d %B %Y}.",
            f"My number is {identity.phone} and my record number is {identity.record_number}.",
            f"Please write to {identity.email}, I live at {identity.street}.",
            f"{doctor} told me to ask you.",
            f"I was last seen on {rng.randrange(1, 13):02d}/{rng.randrange(1, 29):02d}/2025, this is {identity.name}.",
        )
    )
