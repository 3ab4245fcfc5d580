"""An import writes no name, number, address or free text of any field."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.records.validate import data_docs
from tests.contract.byte_search import contents, found
from tests.unit.pipelines.records.fhir import (
    FIRST,
    LOINC,
    Clinic,
    Resource,
    allergy,
    concept,
    condition,
    encounter,
    medication_request,
    observation,
    patient,
    procedure,
    question,
    reply,
    without,
)

SECRETS = (
    "Eulalia", "Quibblesworth", "Zebedee", "Oxenthwaite", "Marrowgate", "77 Fiddlestick", "S358785075",
    "4155550123", "eulalia@quibble.example", "secret-record-id", "1990-03-04", "Winterbottom Hospital",
    "narrative-text",
)  # fmt: skip
PATIENT = patient(
    "secret-record-id",
    name=[{"given": ["Eulalia"], "family": "Quibblesworth"}],
    telecom=[{"value": "+1 (415) 555-0123"}, {"value": "eulalia@quibble.example"}],
    identifier=[{"value": "S358785075"}],
    address=[{"line": ["77 Fiddlestick"], "city": "Marrowgate"}],
    text={"div": "<div>narrative-text</div>"},
)
DOCTOR = {"resourceType": "Practitioner", "id": "d", "name": [{"given": ["Zebedee"], "family": "Oxenthwaite"}]}
HOSPITAL = {"resourceType": "Organization", "id": "h", "name": "Winterbottom Hospital"}
SUBJECT = {"reference": "Patient/secret-record-id", "display": "Eulalia Quibblesworth"}
WORDS = "Eulalia Quibblesworth of 77 Fiddlestick, Marrowgate, S358785075"
NOTE = {"note": [{"text": WORDS}], "text": {"div": "narrative-text"}, "performer": [{"display": "Zebedee Oxenthwaite"}]}
LETTER = (
    "I am Eulalia Quibblesworth, born 1990-03-04, of 77 Fiddlestick in Marrowgate, chart S358785075, "
    "call 415-555-0123 or 415 555 0123 or write to eulalia@quibble.example. Dr Oxenthwaite at Winterbottom "
    "Hospital knows. quibblesworth is my name. May I fly?"
)


def records() -> list[Resource]:
    local = {"coding": [{"system": "http://x.example", "code": "Quibblesworth", "display": WORDS}], "text": WORDS}
    return [
        observation("w", subject=SUBJECT, **NOTE),
        observation("l", subject=SUBJECT, valueQuantity={"value": 3, "unit": "Quibblesworth"}) | {"code": local},
        without(observation("s", subject=SUBJECT), "valueQuantity") | {"valueString": WORDS},
        without(observation("v", "1-8", subject=SUBJECT), "valueQuantity") | {"valueCodeableConcept": {"text": WORDS}},
        condition("c", subject=SUBJECT, code=local, **NOTE),
        condition("k", subject=SUBJECT, code=concept(LOINC, "1-8", f"Visit of {WORDS}")),
        medication_request("m", subject=SUBJECT, medicationCodeableConcept={"text": WORDS}, **NOTE),
        procedure("p", subject=SUBJECT, code={"text": WORDS}, **NOTE),
        allergy("a", patient=SUBJECT, code={"text": WORDS}, **NOTE),
        encounter("e", subject=SUBJECT, type=[local], reasonCode=[{"text": WORDS}], **NOTE),
        question("q", LETTER, subject=SUBJECT, sender=SUBJECT),
        reply("r", "q", f"Dear Eulalia, yes. {LETTER} Zebedee Oxenthwaite", subject=SUBJECT),
    ]


@pytest.fixture
def taken(clinic: Clinic) -> Clinic:
    """A history with the records and two broken ones, and a second night."""
    broken = [
        observation("x", subject=SUBJECT, unit="Quibblesworth"),
        condition("y", subject=SUBJECT, onsetDateTime=WORDS),
    ]
    assert clinic.drop(FIRST, PATIENT, DOCTOR, HOSPITAL, *records(), *broken).accepted == 13
    assert clinic.drop("2026-06-02", question("q2", LETTER, subject=SUBJECT, sender=SUBJECT)).accepted == 1
    return clinic


def outputs(clinic: Clinic) -> list[Path]:
    """Every file of the clinic's state except quarantine's raw rows."""
    paths = clinic.settings.workspace.rglob("*")
    return [p for p in paths if p.is_file() and p.suffix != ".jsonl"]


def test_no_planted_identifier_is_in_any_output(taken: Clinic) -> None:
    leaks = {
        (secret, path.name) for path in outputs(taken) for secret in found(contents(path.read_bytes()), list(SECRETS))
    }
    assert leaks == set()


def test_the_messages_still_say_what_was_asked(taken: Clinic) -> None:
    asked = taken.events("question")["text_value"].to_list()

    assert len(asked) == 2
    assert len(set(asked)) == 1
    assert asked[0].endswith("is my name. May I fly?")


def test_the_pages_of_great_expectations_show_counts_and_no_value(clinic: Clinic) -> None:
    heavy = [observation(f"h{i}", value=71717171.17) for i in range(3)]
    clinic.drop(FIRST, patient(), observation("w"), *heavy)

    page = data_docs.index_page_path(clinic.settings)
    assert page.exists()
    pages = list(page.parent.rglob("*.html"))
    text = "".join(p.read_text() for p in pages)
    assert "observations" in text
    assert "75%" in text or "75.00%" in text or "75.0%" in text
    written = [path.read_bytes() for path in outputs(clinic) if path.suffix in (".html", ".json")]
    assert found(written, ["71717171"]) == set()
