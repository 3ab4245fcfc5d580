"""Drafts of a reply over HTTP: for a clinician alone, from this record alone, and without a word in any log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from bentos.auth import keys
from bentos.auth.principal import subject_of
from bentos.personalizer import current
from models.drafts.learning import learn_catalogue
from models.encoder import MiniLM
from models.schema import Episode, Segment
from pmlm.settings import Settings
from tests.contract.test_cds_hooks import VIEW, asked
from tests.contract.three_women import ADA, BEA, CLEO, IDENTIFIERS

if TYPE_CHECKING:
    from starlette.testclient import TestClient

TIRED = "Is it normal to feel this tired?"
BLEEDING = "I feel so tired, and I am bleeding heavily and soaking a pad an hour, is that normal?"
LOW = "Your haemoglobin of 9.8 g/dL is low, so take your iron every other day."
CALM = "Tiredness like this is normal and nothing to worry about."
ALLERGEN = "Start amoxicillin for the tired feeling today."


def of_ada(client: TestClient) -> tuple[Segment, ...]:
    found = client.post("/personalize", json={"patient": ADA, "question": TIRED}).json()["segments"]
    names = ("key", "kind", "text", "pinned")
    return tuple(Segment(**{n: s[n] for n in names}, sources=tuple(s["sources"]), recency_days=400.0) for s in found)


@pytest.fixture(scope="module")
def drafting(client: TestClient) -> Iterator[TestClient]:
    """The service with a catalogue of what twelve patients like Ada were written."""
    segments = of_ada(client)
    reply = (CALM, LOW, ALLERGEN)
    episodes = [
        Episode(f"e{n}", n, datetime(2026, 1, 1, tzinfo=UTC), TIRED, segments, reply, (False, True, False))
        for n in range(12)
    ]
    links = [[{"haemoglobin.latest": 0.9}] for _ in episodes]
    personalizer = current.newest()
    assert personalizer is not None
    personalizer.catalogue, _ = learn_catalogue(episodes, links, MiniLM(), 10)
    yield client
    personalizer.catalogue = None


def draft(client: TestClient, patient: str = ADA, question: str = TIRED, **headers: str) -> dict[str, Any]:
    response = client.post("/draft", json={"patient": patient, "question": question}, headers=headers)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_release_without_a_catalogue_says_that_there_is_no_draft(client: TestClient) -> None:
    current.newest().catalogue = None
    made = draft(client)
    assert (made["sentences"], made["text"]) == ([], "")
    assert "no draft" in made["reason"]


def test_each_sentence_comes_with_its_fact_its_entries_and_its_donors(drafting: TestClient) -> None:
    made = draft(drafting)
    sentence = next(s for s in made["sentences"] if s["role"] == "fact")
    assert (sentence["text"], sentence["donors"]) == (LOW, 10)  # twelve, rounded down
    assert sentence["probability"] == pytest.approx(0.05 * round(sentence["probability"] / 0.05))
    assert sentence["facts"][0]["key"] == "haemoglobin.latest"
    assert "9.8" in sentence["facts"][0]["text"]
    assert sentence["facts"][0]["sources"]


@pytest.mark.parametrize("patient", [BEA, CLEO])
def test_a_patient_without_the_fact_gets_no_sentence_of_it(drafting: TestClient, patient: str) -> None:
    made = draft(drafting, patient)
    assert "haemoglobin" not in made["text"]
    assert made["sentences"] or made["reason"]


@pytest.mark.attack("access", "a patient's own token asks for a draft", "403, and no word of any reply")
@pytest.mark.parametrize("scope", ["patient/Patient.rs", "system/Patient.rs"])
def test_no_draft_is_for_a_patient(drafting: TestClient, settings: Settings, scope: str) -> None:
    token = keys.mint(settings, "app", [scope], [subject_of(settings, ADA)], 1)
    answer = drafting.post(
        "/draft", json={"patient": ADA, "question": TIRED}, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 403
    assert "iron" not in answer.text


@pytest.mark.attack(
    "safety messages",
    "a sentence that the clinic often writes plays down a red flag, or names a drug of the record's allergies",
    "it is in no draft; the escalation stands first",
)
def test_what_the_safety_check_objects_to_is_in_no_draft(drafting: TestClient) -> None:
    flagged = draft(drafting, question=BLEEDING)
    assert flagged["escalation"]
    assert CALM not in flagged["text"]
    assert "amoxicillin" not in draft(drafting)["text"]
    assert draft(drafting)["withheld"]["allergy"] >= 1


def test_what_becomes_of_a_sentence_is_recorded_without_a_word_of_it(drafting: TestClient, settings: Settings) -> None:
    made = draft(drafting)
    body = {
        "answer_id": made["id"],
        "by": "clinician",
        "draft": [{"sentence": s["id"], "outcome": "accepted"} for s in made["sentences"]],
    }
    receipt = drafting.post("/feedback", json=body)
    assert receipt.status_code == 200, receipt.text
    lines = [json.loads(line) for path in (settings.workspace / "feedback").glob("*.jsonl") for line in path.open()]
    own = [line for line in lines if line["answer"] == made["id"]]
    assert {(line["kind"], line["outcome"]) for line in own} == {("draft", "accepted")}
    assert {line["sentence"] for line in own} == {s["id"] for s in made["sentences"]}
    files = [p for f in ("feedback", "interactions") for p in (settings.workspace / f).rglob("*") if p.is_file()]
    logged = "".join(line for path in files for line in path.open() if made["id"] in line)  # others' feedback is there
    assert logged
    assert not any(word in logged for word in (*IDENTIFIERS, "your iron", "haemoglobin of"))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"by": "patient"}, 400),
        ({"draft": []}, 400),
        ({"draft": [{"sentence": "0" * 12, "outcome": "liked"}]}, 400),
        ({"draft": [{"sentence": "0" * 12, "outcome": "accepted"}] * 2}, 400),
        ({"answer_id": "0" * 32}, 404),
    ],
)
def test_feedback_that_is_none_is_refused(drafting: TestClient, change: dict[str, Any], status: int) -> None:
    body = {
        "answer_id": draft(drafting)["id"],
        "by": "clinician",
        "draft": [{"sentence": "0" * 12, "outcome": "edited"}],
    }
    assert drafting.post("/feedback", json=body | change).status_code == status


def test_the_outcome_of_a_sentence_is_of_a_draft_alone(drafting: TestClient) -> None:
    answer = drafting.post("/personalize", json={"patient": ADA, "question": TIRED}).json()
    body = {"answer_id": answer["id"], "by": "clinician", "draft": [{"sentence": "0" * 12, "outcome": "edited"}]}
    assert drafting.post("/feedback", json=body).status_code == 404


def test_sentences_of_fewer_patients_than_k_is_now_are_in_no_draft(
    drafting: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current.newest().settings, "k_anonymity", 11)
    assert draft(drafting)["sentences"] == []


def test_an_ehr_gets_the_draft_of_the_open_question_as_a_card(
    drafting: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bentos.cds import draft_card

    monkeypatch.setattr(current.newest().settings, "cds_drafts", True)
    monkeypatch.setattr(draft_card, "find_open_question", lambda *_: TIRED)
    clinician = keys.mint(settings, "app", ["user/Patient.rs"], None, 1)
    bound = keys.mint(settings, "app", ["user/Patient.rs"], [subject_of(settings, ADA)], 1)
    for token, cards in ((clinician, 1), (bound, 0)):
        answer = drafting.post(VIEW, json=asked(ADA), headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        found = [card["detail"] for card in answer.json()["cards"] if "take your iron" in card["detail"]]
        assert len(found) == cards
        assert all("received by 10 patients" in text and TIRED in text.replace("\\", "") for text in found)
