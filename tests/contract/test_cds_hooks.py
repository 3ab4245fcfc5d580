"""CDS Hooks as an EHR meets it: the whole service in process, its JSON held against the specification's rules."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from bentos.auth import keys
from pmlm.settings import Settings
from tests.contract.cds_schema import DISCOVERY, RESPONSE, errors
from tests.contract.three_women import ADA, BEA, CLEO, IDENTIFIERS

if TYPE_CHECKING:
    from starlette.testclient import TestClient

VIEW, ORDERS = "/cds-services/pmlm-patient-view", "/cds-services/pmlm-orders"


def asked(patient: str, hook: str = "patient-view", **context: Any) -> dict[str, Any]:
    return {
        "hook": hook,
        "hookInstance": str(uuid.uuid4()),
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {"access_token": "secret-of-the-ehr", "token_type": "Bearer"},
        "context": {"userId": "Practitioner/example", "patientId": patient, **context},
        "prefetch": {"patient": {"resourceType": "Patient", "id": patient}},
        "extension": {"com.example": None},
    }


def order(name: str, ident: str = "103") -> dict[str, Any]:
    medicine = {"resourceType": "MedicationRequest", "id": ident, "medicationCodeableConcept": {"text": name}}
    return {"resourceType": "Bundle", "entry": [{"resource": medicine}]}


def cards(client: TestClient, path: str, request: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    response = client.post(path, json=request, headers=headers)
    assert response.status_code == 200, response.text
    assert errors(RESPONSE, response.json()) == []
    found: list[dict[str, Any]] = response.json()["cards"]
    return found


def test_discovery_is_open_and_names_every_service(client: TestClient) -> None:
    response = client.get("/cds-services", headers={"authorization": ""})
    assert response.status_code == 200
    assert errors(DISCOVERY, response.json()) == []
    listed = {(s["id"], s["hook"]) for s in response.json()["services"]}
    assert listed == {
        ("pmlm-patient-view", "patient-view"), ("pmlm-orders", "order-select"), ("pmlm-orders", "order-sign")
    }  # fmt: skip


def test_the_view_of_a_patient_answers_the_stated_question_from_her_record(client: TestClient) -> None:
    *beyond, answer = cards(client, VIEW, asked(ADA))
    assert [c["indicator"] for c in beyond] == ["warning"]
    assert beyond[0]["summary"].startswith("Haemoglobin 9.8 g/dL, 12 days ago: moderate anaemia")
    assert beyond[0]["source"]["label"] == "WHO 2024, haemoglobin cutoffs"
    assert answer["indicator"] == "info"
    assert "How is she doing" in answer["detail"]
    assert "penicillin V" in answer["detail"]
    assert "30 weeks" in answer["detail"]
    explained = client.get(f"/explain/{uuid.UUID(answer['uuid']).hex}").json()
    stored = sorted((s for s in explained["segments"] if s["position"] is not None), key=lambda s: s["position"])
    facts = [line.removeprefix("- ").replace("\\", "") for line in answer["detail"].splitlines() if line[:2] == "- "]
    assert facts[2:] == [s["text"] for s in stored][: len(facts) - 2]
    assert answer["summary"].startswith(facts[0])


def test_the_cards_are_chinese_for_who_asks_in_chinese(client: TestClient) -> None:
    found = cards(client, VIEW, asked(BEA), **{"accept-language": "zh-CN,zh;q=0.9"})
    assert "她目前情况如何" in found[-1]["detail"]


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_an_order_against_a_recorded_allergy_is_critical_and_can_be_taken_back(client: TestClient, hook: str) -> None:
    context = {"draftOrders": order("Amoxicillin 500 MG Oral Capsule")}
    if hook == "order-select":
        context["selections"] = ["MedicationRequest/103"]  # type: ignore[assignment]
    (card,) = cards(client, ORDERS, asked(ADA, hook, **context))
    assert card["indicator"] == "critical"
    assert "allergy to penicillin V" in card["summary"]
    (suggestion,) = card["suggestions"]
    assert suggestion["actions"][0]["resourceId"] == "MedicationRequest/103"


@pytest.mark.parametrize("drug", ["Acetaminophen 325 MG", "ferrous sulfate 325 MG"])
def test_there_is_no_card_where_nothing_speaks_against_an_order(client: TestClient, drug: str) -> None:
    assert cards(client, ORDERS, asked(ADA, "order-sign", draftOrders=order(drug))) == []


def test_an_order_that_names_no_medicine_is_said_not_to_be_checked(client: TestClient) -> None:
    (card,) = cards(client, ORDERS, asked(ADA, "order-sign", draftOrders=order("")))
    assert card["indicator"] == "warning"
    assert "Not checked" in card["summary"]


@pytest.mark.attack("safety messages", "51 draft orders before the one that conflicts", "its card comes first")
def test_the_conflicting_order_comes_first_and_what_was_not_read_is_said(client: TestClient) -> None:
    many = {"resourceType": "Bundle", "entry": [order("Acetaminophen", f"a{i}")["entry"][0] for i in range(510)]}
    found = cards(client, ORDERS, asked(ADA, "order-sign", draftOrders=many))
    assert [card["indicator"] for card in found] == ["warning"]
    assert "10 medicine orders" in found[0]["summary"]
    many["entry"] = [*many["entry"][:51], {}, *order("Amoxicillin 500 MG Oral Capsule")["entry"]]
    found = cards(client, ORDERS, asked(ADA, "order-sign", draftOrders=many))
    assert [card["indicator"] for card in found] == ["critical", "warning"]


def test_a_patient_nobody_knows_and_one_the_token_does_not_open(client: TestClient, settings: Settings) -> None:
    assert client.post(VIEW, json=asked("nobody")).status_code == 404
    token = keys.mint(settings, "ehr", ["system/Patient.rs"], [settings.subject_id(CLEO)], 1)
    bound = {"authorization": f"Bearer {token}"}
    refused = [client.post(VIEW, json=asked(patient), headers=bound) for patient in (ADA, "nobody")]
    assert [r.status_code for r in refused] == [403, 403]
    assert refused[0].json() == refused[1].json()
    assert client.post(VIEW, json=asked(CLEO), headers=bound).status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hook": "order-sign"}, "hook"),
        ({"hook": "patient-delete"}, "hook"),
        ({"hookInstance": "1"}, "hookInstance"),
        ({"context": {"userId": "Practitioner/1"}}, "context.patientId"),
        ({"context": {"userId": "Practitioner/1", "patientId": "subject:1"}}, "context.patientId"),
        ({"context": None}, "context"),
    ],
)
def test_a_broken_call_is_refused_with_the_field_named(client: TestClient, change: dict[str, Any], field: str) -> None:
    response = client.post(VIEW, json={**asked(ADA), "context": asked(ADA)["context"] | {"draftOrders": {}}} | change)
    assert response.status_code == 400
    assert response.json()["field"] == field


def test_an_order_hook_without_orders_and_a_service_that_is_not(client: TestClient) -> None:
    assert client.post(ORDERS, json=asked(ADA, "order-sign")).status_code == 400
    assert client.post(ORDERS, json=asked(ADA, "order-select", draftOrders={})).status_code == 400
    assert client.post("/cds-services/other", json=asked(ADA)).status_code == 404
    assert client.post("/cds-services/other/feedback", json=overridden(str(uuid.uuid4()))).status_code == 404


def overridden(card: str, **reason: Any) -> dict[str, Any]:
    one = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-06-01T10:05:31Z"}
    return {"feedback": [one | ({"overrideReason": reason} if reason else {})]}


def lines(settings: Settings) -> list[dict[str, Any]]:
    files = sorted((settings.workspace / "feedback").glob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_what_became_of_a_card_is_kept_with_the_program_behind_it(client: TestClient, settings: Settings) -> None:
    found = cards(client, VIEW, asked(ADA))
    before = len(lines(settings))
    reason = {"code": "wrong", "system": "https://pmlm.dev/fhir/CodeSystem/card-override"}
    for card in found:
        body = overridden(card["uuid"], reason=reason, userComment="Her sister's result, Adelheid says.")
        response = client.post(f"{VIEW}/feedback", json=body)
        assert (response.status_code, response.content) == (200, b"")
    stored = lines(settings)[before:]
    assert [(k["kind"], k["by"], k["points"], k["reason"]) for k in stored] == [("card", "clinician", 1.0, "wrong")] * 2
    explained = client.get(f"/explain/{stored[-1]['answer']}").json()
    assert stored[-1]["picks"] == explained["program"]["picks"]
    assert stored[-1]["log_prob"] == explained["program"]["log_prob"]
    assert "sister" not in json.dumps(stored)


def test_an_accepted_suggestion_is_worth_most(client: TestClient, settings: Settings) -> None:
    (card,) = cards(client, ORDERS, asked(ADA, "order-sign", draftOrders=order("Amoxicillin")))
    one = {"card": card["uuid"], "outcome": "accepted", "outcomeTimestamp": "2026-06-01T10:05:31Z"}
    assert client.post(f"{ORDERS}/feedback", json={"feedback": [one]}).status_code == 400
    one["acceptedSuggestions"] = [{"id": card["suggestions"][0]["uuid"]}]
    assert client.post(f"{ORDERS}/feedback", json={"feedback": [one]}).status_code == 200
    assert lines(settings)[-1]["points"] == 5.0


def test_feedback_on_several_cards_is_kept_all_or_none(client: TestClient, settings: Settings) -> None:
    (known, *_), before = cards(client, VIEW, asked(ADA)), len(lines(settings))
    both = {"feedback": [*overridden(known["uuid"])["feedback"], *overridden(str(uuid.uuid4()))["feedback"]]}
    assert client.post(f"{VIEW}/feedback", json=both).status_code == 404
    assert len(lines(settings)) == before


def test_another_patients_card_is_as_unknown_as_none(client: TestClient, settings: Settings) -> None:
    (card, *_) = cards(client, VIEW, asked(ADA))
    token = keys.mint(settings, "ehr", ["system/Patient.rs"], [settings.subject_id(CLEO)], 1)
    bound = {"authorization": f"Bearer {token}"}
    answers = [
        client.post(f"{VIEW}/feedback", json=overridden(one), headers=bound)
        for one in (card["uuid"], str(uuid.uuid4()))
    ]
    assert [a.status_code for a in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()


def test_a_browser_may_ask_after_a_preflight_and_read_why_it_was_refused(client: TestClient) -> None:
    origin = {"origin": "https://ehr.example", "authorization": ""}
    preflight = client.options(
        VIEW,
        headers=origin
        | {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"},
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers
    refused = client.post(VIEW, json=asked(ADA), headers=origin)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in client.post("/answer", json={}, headers=origin).headers


def test_no_token_no_cards_and_no_identifier_on_any(client: TestClient) -> None:
    assert client.post(VIEW, json=asked(ADA), headers={"authorization": ""}).status_code == 401
    text = json.dumps([cards(client, VIEW, asked(patient)) for patient in (ADA, BEA, CLEO)], ensure_ascii=False)
    assert not [i for i in IDENTIFIERS if i in text]
    assert "secret-of-the-ehr" not in text
