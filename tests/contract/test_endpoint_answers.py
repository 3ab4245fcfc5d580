"""What the endpoint answers, through HTTP to the served bento."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from bentos.personalizer.llm_answer import RESTATED
from pipelines.packaging import serving
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.api_types import AnswerResponse, PersonalizeResponse
from pmlm.settings import Settings
from tests.contract.three_women import ADA, BEA, CLEO, NIGHT

TIRED = "Is it normal to feel this tired?"
BLEEDING = "I am bleeding heavily and soaking a pad an hour, is that normal?"


def post(caller: httpx.Client, route: str, **request: Any) -> dict[str, Any]:
    response = caller.post(route, json=request)
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.fixture(scope="module")
def personalized(caller: httpx.Client) -> dict[str, Any]:
    return post(caller, "/personalize", patient=f"Patient/{ADA}", question=TIRED)


def test_health_says_alive_and_ready(endpoint: RunningEndpoint) -> None:
    assert httpx.get(endpoint.url + "/livez").status_code == 200
    assert httpx.get(endpoint.url + "/readyz").status_code == 200


def test_a_prompt_comes_with_every_candidate_and_its_fate(personalized: dict[str, Any]) -> None:
    answer = PersonalizeResponse.model_validate(personalized)
    chosen = sorted((s for s in answer.segments if s.position is not None), key=lambda s: s.position or 0)
    assert [s.key for s in chosen] == answer.program.picks
    assert all(s.kept for s in answer.segments if s.pinned or s.position is not None)
    for segment in answer.segments:
        assert segment.sources, segment.key
        assert segment.text in answer.initial_prompt
        assert (segment.text in answer.prompt) == segment.kept, segment.key


def test_pinned_facts_of_her_record_are_in_the_prompt(personalized: dict[str, Any]) -> None:
    assert {s["key"] for s in personalized["segments"] if s["pinned"]} == {"safety", "pregnancy", "allergies"}
    assert "penicillin V" in personalized["prompt"]
    assert "30 weeks" in personalized["prompt"]  # 40 weeks less the ten to the expected delivery date


def test_versions_name_the_release_down_to_the_feature_schema(
    personalized: dict[str, Any], endpoint: RunningEndpoint, settings: Settings
) -> None:
    versions = personalized["versions"]
    # three women have too few replies to learn an initial ranking from
    assert [name for name, value in versions.items() if not value] == ["ranker"]
    assert versions["release"] == serving.current_release(settings).resolve().name == endpoint.release
    assert versions["bento"] == endpoint.bento == f"pmlm:{NIGHT}-{endpoint.release}"
    assert versions["as_of"] == settings.now().isoformat()


@pytest.mark.parametrize("reference", [ADA, f"Patient/{ADA}", f"urn:uuid:{ADA}", "subject:{subject}"])
def test_any_usual_form_of_a_reference_finds_the_same_woman(
    caller: httpx.Client, settings: Settings, personalized: dict[str, Any], reference: str
) -> None:
    named = reference.format(subject=settings.subject_id(ADA))
    assert post(caller, "/personalize", patient=named, question=TIRED)["prompt"] == personalized["prompt"]


def test_an_answer_is_the_same_prompt_with_its_facts_restated(
    caller: httpx.Client, personalized: dict[str, Any]
) -> None:
    answer = AnswerResponse.model_validate(post(caller, "/answer", patient=ADA, question=TIRED))
    assert answer.prompt == personalized["prompt"]
    assert answer.answer
    assert (answer.llm.model, answer.llm.asked, answer.llm.error) == ("embedded-answer", False, None)
    assert answer.disclaimer == RESTATED["en"]
    assert not answer.escalated


def test_a_red_flag_is_escalated_before_anything_else(caller: httpx.Client) -> None:
    answer = AnswerResponse.model_validate(post(caller, "/answer", patient=ADA, question=BLEEDING))
    assert answer.red_flags
    assert answer.escalated
    assert answer.escalation
    assert answer.answer.startswith(answer.escalation)


def test_a_chinese_question_is_answered_in_chinese_and_another_language_can_be_asked_for(caller: httpx.Client) -> None:
    chinese = post(caller, "/personalize", patient=BEA, question="我最近总是咳嗽，正常吗？")
    assert chinese["language"] == "zh"
    english = post(caller, "/personalize", patient=BEA, question="我最近总是咳嗽，正常吗？", language="en")
    assert english["language"] == "en"
    assert chinese["prompt"] != english["prompt"]


def test_a_patient_of_whom_little_is_known_still_gets_the_pinned_facts(caller: httpx.Client) -> None:
    answer = PersonalizeResponse.model_validate(post(caller, "/personalize", patient=CLEO, question=TIRED))
    assert {s.key for s in answer.segments if s.pinned} == {"safety", "pregnancy", "allergies"}
    assert answer.prompt
