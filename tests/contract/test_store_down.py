"""A feature store that cannot be read: questions are answered from her pinned facts, soon, and say so; nothing guesses.

What would be silent without features (recorded values, her trajectory) is a 503 in words; health tells; and when the
store is back, so is the whole answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from conftest import bearer

from bentos.personalizer.llm_answer import WITHHELD
from bentos.personalizer.patient import feature_client
from bentos.personalizer.patient.fallback_features import read_pinned_row
from feature_repo.store import online
from models.prompt.sentences.pinned import build_pinned_segments
from models.safety.escalation import ESCALATION
from pmlm.settings import Settings
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA, BEA, CLEO

if TYPE_CHECKING:
    from conftest import ClientFactory
    from starlette.testclient import TestClient

TIRED = "Is it normal to feel this tired?"
BLEEDING = "I am bleeding heavily and soaking a pad an hour, is that normal?"
SOON_S = 5.0


@pytest.fixture(scope="module")
def remote(client_of: ClientFactory, stub: StubLLM) -> TestClient:
    return client_of(llm_base_url=stub.url, llm_model="stub")


@pytest.fixture(scope="module")
def whole(remote: TestClient) -> dict[str, Any]:
    """The answer while the store can be read."""
    return dict(remote.post("/personalize", json={"patient": ADA, "question": TIRED}).json())


@pytest.fixture
def down(settings: Settings, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """The online store's file is no database; given is what it was."""
    monkeypatch.setattr(feature_client, "FRESH_S", 0.0)
    monkeypatch.setattr(feature_client, "RESTS_S", 0.0)
    database = settings.feast / "online.db"
    content = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    yield content
    database.write_bytes(content)


@pytest.mark.fault("store", "the online store cannot be read", "answers from the pinned facts, labelled")
@pytest.mark.usefixtures("down")
@pytest.mark.parametrize("route", ["/personalize", "/answer"])
def test_a_question_is_answered_from_her_pinned_facts_and_says_so(
    remote: TestClient, whole: dict[str, Any], route: str
) -> None:
    started = time.monotonic()
    response = remote.post(route, json={"patient": ADA, "question": TIRED})
    assert time.monotonic() - started < SOON_S
    answer = response.json()
    assert response.status_code == 200
    assert (answer["personalization"], answer["degraded"]) == ("none", "features")
    assert answer["segments"] == [s for s in whole["segments"] if s["pinned"]]
    assert {"She is 30 weeks pregnant.", "Drug allergies: penicillin V."} <= {s["text"] for s in answer["segments"]}
    assert "haemoglobin" not in answer["prompt"] + answer["initial_prompt"]
    assert (whole["personalization"], whole["degraded"]) == ("full", None)


@pytest.mark.usefixtures("down")
def test_the_escalation_still_stands_first_and_allergies_still_count(remote: TestClient, stub: StubLLM) -> None:
    flagged = remote.post("/answer", json={"patient": ADA, "question": BLEEDING}).json()
    assert flagged["answer"].startswith(ESCALATION["en"]["emergency"])
    stub.text = "Take penicillin V twice a day."
    try:
        answered = remote.post("/answer", json={"patient": ADA, "question": TIRED}).json()
    finally:
        stub.text = "Rest, and drink water."
    assert (answered["answer"], answered["llm"]["findings"]) == (WITHHELD["en"], ["allergy"])


@pytest.mark.usefixtures("down")
@pytest.mark.parametrize("stream", [False, True])
def test_the_gateway_answers_so_too(remote: TestClient, stream: bool) -> None:
    asked = {"model": "any", "user": ADA, "stream": stream, "messages": [{"role": "user", "content": BLEEDING}]}
    response = remote.post("/v1/chat/completions", json=asked)
    assert response.status_code == 200
    assert response.headers["x-pmlm-personalization"] == "none"
    assert response.headers["x-pmlm-degraded"] == "features"
    assert ESCALATION["en"]["emergency"][:40] in response.text
    if not stream:
        assert response.json()["pmlm"]["degraded"] == "features"


@pytest.mark.usefixtures("down")
def test_what_would_be_silent_without_features_is_refused_in_words(remote: TestClient, settings: Settings) -> None:
    hook = {"hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"userId": "Practitioner/x", "patientId": ADA}}  # fmt: skip
    refused = (
        remote.get(f"/patients/{ADA}/timeline"),
        remote.post("/cds-services/pmlm-patient-view", json=hook),
        remote.post("/page/api/record", json={"patient": ADA, "language": "en"}, headers=bearer(settings)),
    )
    for response in refused:
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert "cannot be read at the moment" in response.json()["detail"]


@pytest.mark.usefixtures("down")
def test_an_unknown_patient_stays_unknown(remote: TestClient) -> None:
    assert remote.post("/personalize", json={"patient": "nobody", "question": TIRED}).status_code == 404


def test_health_tells_and_a_store_that_is_back_is_found(remote: TestClient, down: bytes, settings: Settings) -> None:
    ready = remote.get("/readyz")
    assert (ready.status_code, ready.json()["features"]) == (200, "unreadable")
    (settings.feast / "online.db").write_bytes(down)
    assert remote.get("/readyz").json()["features"] == "readable"
    answer = remote.post("/personalize", json={"patient": ADA, "question": TIRED}).json()
    assert (answer["personalization"], answer["degraded"]) == ("full", None)


@pytest.mark.parametrize("who", [ADA, BEA, CLEO])
def test_pinned_facts_from_the_log_are_those_of_the_store(settings: Settings, who: str) -> None:
    subject, as_of = settings.subject_id(who), settings.now()
    row = online.read(settings.feast, subject)
    from_log = read_pinned_row(settings.events, subject, as_of)
    assert row is not None
    assert from_log is not None
    stored = {name for name, value in from_log.items() if value not in (None, [])} - {"as_of"}
    assert {name: row[name] for name in stored} == {name: from_log[name] for name in stored}
    assert [s.text for s in build_pinned_segments(from_log, as_of, "en")] == [
        s.text for s in build_pinned_segments(row, as_of, "en")
    ]


def test_the_log_knows_nobody_it_has_not_met(settings: Settings) -> None:
    assert read_pinned_row(settings.events, 1, settings.now()) is None
    assert read_pinned_row(settings.home / "nowhere", settings.subject_id(ADA), settings.now()) is None
