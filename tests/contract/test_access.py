"""Who may see whom, through the service itself: on every route that a patient can be named on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bentos.auth import audit, keys
from pmlm.settings import Settings
from tests.contract.stub_llm import StubLLM
from tests.contract.three_women import ADA, BEA, IDENTIFIERS

if TYPE_CHECKING:
    from conftest import ClientFactory
    from starlette.testclient import TestClient

TIRED = "Is it normal to feel this tired?"
Headers = dict[str, str]


@pytest.fixture(scope="module")
def remote(client_of: ClientFactory, stub: StubLLM) -> TestClient:
    return client_of(llm_base_url=stub.url, llm_model="stub", rate_limit="200/minute")


@pytest.fixture
def shown(settings: Settings) -> Callable[..., Headers]:
    """The header that shows a token: of the whole clinic, or bound to these patients."""

    def made(*patients: str, scope: str = "system/Patient.rs", client: str = "app") -> Headers:
        subjects = [settings.subject_id(p) for p in patients] if patients else None
        return {"Authorization": f"Bearer {keys.mint(settings, client, [scope], subjects, 1)}"}

    return made


def asked(client: TestClient, route: str, patient: str, headers: Headers) -> tuple[int, dict[str, Any]]:
    """Status and body of the one request that names this patient on this route."""
    if route == "timeline":
        response = client.get(f"/patients/{patient}/timeline", headers=headers)
    else:
        response = client.post(route, json={"patient": patient, "question": TIRED}, headers=headers)
    return response.status_code, response.json()


@pytest.mark.parametrize("route", ["/personalize", "/answer", "timeline"])
def test_a_bound_token_opens_its_patient_and_says_of_all_others_the_same(
    remote: TestClient, shown: Callable[..., Headers], settings: Settings, route: str
) -> None:
    bound = shown(ADA)
    assert asked(remote, route, ADA, bound)[0] == 200
    assert asked(remote, route, f"subject:{settings.subject_id(ADA)}", bound)[0] == 200
    foreign = [asked(remote, route, p, bound) for p in (BEA, f"Patient/{BEA}", "nobody", "subject:1")]
    assert foreign[0][0] == 403
    assert all(one == foreign[0] for one in foreign)
    assert BEA not in json.dumps(foreign)


@pytest.mark.parametrize("route", ["/personalize", "/answer", "timeline"])
def test_a_token_of_the_clinic_is_told_who_is_unknown(
    remote: TestClient, shown: Callable[..., Headers], route: str
) -> None:
    assert asked(remote, route, BEA, shown())[0] == 200
    status, answer = asked(remote, route, "nobody", shown())
    assert (status, answer["field"]) == (404, "patient")


def test_a_token_of_another_clinic_opens_nothing(remote: TestClient, settings: Settings) -> None:
    other = Settings(home=settings.home, drops=settings.drops.parent / "other", key_dir=settings.key_dir)
    token = keys.mint(other, "app", ["system/*.rs"], None, 1)
    status, answer = asked(remote, "/answer", ADA, {"Authorization": f"Bearer {token}"})
    assert status == 401
    assert "prompt" not in answer


def test_an_explanation_tells_all_but_the_models_words_and_only_to_who_may_see_her(
    remote: TestClient, shown: Callable[..., Headers], stub: StubLLM
) -> None:
    stub.text = "Zymurgy is not the reason."
    answered = remote.post("/answer", json={"patient": ADA, "question": TIRED}, headers=shown()).json()
    assert answered["answer"] == stub.text
    for allowed in (shown(), shown(ADA), shown(BEA, ADA)):
        answer = remote.get(f"/explain/{answered['id']}", headers=allowed)
        assert answer.status_code == 200
        assert {k: answer.json()[k] for k in ("prompt", "segments", "versions", "program", "red_flags")} == {
            k: answered[k] for k in ("prompt", "segments", "versions", "program", "red_flags")
        }
        assert sorted(answer.json()["dropped"]) == sorted(s["key"] for s in answered["segments"] if not s["kept"])
        assert "Zymurgy" not in answer.text
        assert TIRED not in answer.text
    foreign = [remote.get(f"/explain/{id_}", headers=shown(BEA)) for id_ in (answered["id"], "0" * 32)]
    assert [f.status_code for f in foreign] == [403, 403]
    assert foreign[0].json() == foreign[1].json()
    assert remote.get(f"/explain/{'0' * 32}", headers=shown()).json()["field"] == "answer_id"
    assert remote.get(f"/explain/{'0' * 65}", headers=shown()).status_code == 400


def test_a_timeline_shows_each_value_against_her_own_past_and_no_date(
    remote: TestClient, shown: Callable[..., Headers]
) -> None:
    response = remote.get(f"/patients/Patient/{ADA}/timeline", headers=shown(ADA))
    answer = response.json()
    assert (answer["pregnant"], answer["gestational_week"]) == (True, 30)
    (blood,) = answer["signals"]
    assert (blood["name"], blood["direction"], blood["changed"]) == ("haemoglobin", "fall", True)
    assert [(p["days_ago"], p["gestational_week"], p["value"], p["outside"]) for p in blood["points"]] == [
        (92, 16, 12.9, False),
        (50, 22, 12.8, False),
        (12, 28, 9.8, True),
    ]
    for hidden in (*IDENTIFIERS, "2026-"):
        assert hidden not in response.text


def test_every_access_is_recorded_with_its_outcome_and_found_by_patient(
    remote: TestClient, shown: Callable[..., Headers], settings: Settings
) -> None:
    asked(remote, "/answer", ADA, shown(client="portal"))
    asked(remote, "timeline", ADA, shown(BEA, client="portal"))
    asked(remote, "/personalize", BEA, shown(BEA, client="portal"))
    own = [(a.route, a.outcome) for a in audit.read(settings, settings.subject_id(ADA), "portal")]
    assert own == [("/answer", 200), ("/patients/{ref}/timeline", 403)]
    for path in audit.folder(settings).iterdir():
        content = path.read_text()
        assert not [i for i in (*IDENTIFIERS, "portal", TIRED) if i in content]


def test_an_answer_that_the_model_did_not_give_is_a_problem_with_the_prompt_in_it(
    remote: TestClient, shown: Callable[..., Headers], stub: StubLLM
) -> None:
    stub.behaviour = "error"
    try:
        response = remote.post("/answer", json={"patient": ADA, "question": TIRED}, headers=shown())
    finally:
        stub.behaviour = "answer"
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "prompt", "llm"} <= set(response.json())


NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "/v1": ("/v1/chat/completions", {"user": ADA, "messages": [{"role": "user", "content": TIRED}]}),
    "/cds-services/{id}": (
        "/cds-services/pmlm-patient-view",
        {
            "hook": "patient-view",
            "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"userId": "Practitioner/1", "patientId": ADA},
        },
    ),
    "/page/api": ("/page/api/record", {"patient": ADA}),
}


@pytest.mark.parametrize("route", NAMED)
def test_no_other_surface_is_a_way_around(
    remote: TestClient, shown: Callable[..., Headers], settings: Settings, route: str
) -> None:
    path, body = NAMED[route]
    client = f"caller of {route}"
    assert remote.post(path, json=body).status_code == 200
    assert remote.post(path, json=body, headers={"Authorization": "Bearer x"}).status_code == 401
    refused = remote.post(path, json=body, headers=shown(BEA, client=client))
    assert refused.status_code == 403
    assert remote.post(path, json=body, headers=shown(ADA, client=client)).status_code == 200
    own = [(a.route, a.outcome) for a in audit.read(settings, settings.subject_id(ADA), client)]
    assert own == [(route, 403), (route, 200)]


def test_a_patient_whose_features_no_night_has_computed_gets_what_holds_for_anyone(
    remote: TestClient, shown: Callable[..., Headers], settings: Settings
) -> None:
    (batch,) = settings.events.glob("*.parquet")
    events = pq.read_table(batch)
    own = events.filter(pc.equal(events["subject_id"], settings.subject_id(ADA)))
    arrived = pa.array([settings.subject_id("dora")] * own.num_rows)
    late = batch.with_name("20260602-0123456789ab.parquet")
    pq.write_table(own.set_column(0, events.schema.field("subject_id"), arrived), late)
    try:
        status, answer = asked(remote, "/answer", "Patient/dora", shown())
        assert asked(remote, "timeline", "Patient/dora", shown())[0] == 200
    finally:
        late.unlink()
    assert (status, answer["personalization"]) == (200, "none")
    pinned = {s["key"] for s in answer["segments"] if s["pinned"]}
    assert pinned == {"safety", "pregnancy", "allergies"}
    assert {s["key"] for s in answer["segments"]} - pinned <= {"record.missing"}  # which says so, of anyone
    assert asked(remote, "/answer", "Patient/dora", shown())[0] == 404


@pytest.mark.parametrize("path", ["/docs.json", "/schema.json", "/static_content/index.css", "/assets/x", "/redoc"])
def test_none_of_the_servers_own_pages_is_there(remote: TestClient, shown: Callable[..., Headers], path: str) -> None:
    assert remote.get(path, headers=shown()).status_code == 404


def test_health_needs_no_token_and_names_release_and_features(remote: TestClient, settings: Settings) -> None:
    nobody = {"Authorization": ""}
    assert remote.get("/livez", headers=nobody).status_code == 200
    ready = remote.get("/readyz", headers=nobody).json()
    assert ready["release"] == (settings.workspace / "releases" / "current").resolve().name
    assert ready["feature_schema"]


def test_a_client_that_asks_too_often_is_told_to_wait(remote: TestClient, shown: Callable[..., Headers]) -> None:
    hasty = shown(client="hasty")
    statuses = [remote.get("/v1/models", headers=hasty).status_code for _ in range(201)]
    assert 429 not in statuses[:200]
    limited = remote.post("/personalize", json={"patient": ADA, "question": TIRED}, headers=hasty)
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) > 0
    assert limited.headers["content-type"] == "application/problem+json"
