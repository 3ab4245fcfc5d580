"""What a clinician wrote to a question is shown beside the prompts that carried its facts, to clinicians alone."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from bentos.auth import keys
from pmlm.settings import Settings
from tests.contract.three_women import ADA, ANSWERED, BEA, WRITTEN

TIRED = "Is it normal to feel this tired?"


def ask(client: TestClient, route: str, patient: str, **more: Any) -> Any:
    return client.post(f"/page/api/{route}", json={"patient": patient, **more})


def test_each_sentence_is_tied_to_its_fact_and_to_the_prompts_that_carried_it(client: TestClient) -> None:
    written = ask(client, "reply", ADA, question=f"  {ANSWERED} ").json()
    low, allergic, sleep = written["sentences"]
    assert tuple(s["text"] for s in written["sentences"]) == WRITTEN
    assert low["fact"]["key"].startswith("haemoglobin.")
    assert allergic["fact"]["key"] == "allergies"
    assert allergic["carried"] == ["refined", "initial", "nearest", "none"]  # pinned: in every prompt
    assert (sleep["fact"], sleep["carried"]) == (None, [])
    assert written["facts"] == 2
    assert written["carried"]["initial"] == 2
    assert written["carried"]["none"] == 1
    kept = client.post("/personalize", json={"patient": ADA, "question": ANSWERED}).json()["segments"]
    assert ("refined" in low["carried"]) == next(s["kept"] for s in kept if s["key"] == low["fact"]["key"])
    assert written["ago"] == "11 days ago"


def test_a_question_that_nobody_has_answered_has_no_reply(client: TestClient) -> None:
    assert ask(client, "reply", ADA, question=TIRED).json()["sentences"] == []
    assert ask(client, "reply", BEA, question=ANSWERED).json()["sentences"] == []  # it is Ada's


def test_a_patients_own_answered_questions_are_offered(client: TestClient) -> None:
    assert ask(client, "questions", ADA).json() == {"questions": [ANSWERED]}
    assert ask(client, "questions", BEA).json() == {"questions": []}


def test_a_token_that_is_no_clinicians_sees_no_reply(client: TestClient, settings: Settings) -> None:
    own = keys.mint(settings, "ada", ("patient/*.rs",), [settings.subject_id(ADA)], 1)
    headers = {"Authorization": f"Bearer {own}"}
    refused = client.post("/page/api/reply", json={"patient": ADA, "question": ANSWERED}, headers=headers)
    assert refused.status_code == 403
    assert WRITTEN[0] not in refused.text
    offered = client.post("/page/api/questions", json={"patient": ADA}, headers=headers)
    assert offered.json() == {"questions": []}
    foreign = client.post("/page/api/questions", json={"patient": BEA}, headers=headers)
    assert foreign.status_code in (403, 404)
