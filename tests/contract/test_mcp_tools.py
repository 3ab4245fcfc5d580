"""The MCP server as an agent's client meets it, over real HTTP: same door, same patients, read-only tools."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bentos.auth import audit, keys
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.settings import Settings
from tests.contract.three_women import ADA, CLEO, IDENTIFIERS

T = TypeVar("T")
TIRED = "Is it normal to feel this tired?"


@pytest.fixture(scope="module", params=["auto", "legacy"])
def calls(request: pytest.FixtureRequest, endpoint: RunningEndpoint, settings: Settings) -> Callable[..., Any]:
    """``calls(tool, arguments, token)`` → the result; with the protocol of today and the one before it."""

    def call(tool: str | None, arguments: dict[str, Any] | None = None, token: str | None = None) -> Any:
        async def work(client: Client) -> Any:
            return await (client.list_tools() if tool is None else client.call_tool(tool, arguments or {}))

        return _with_client(endpoint, token or keys.development_token(settings), request.param, work)

    return call


def _with_client(endpoint: RunningEndpoint, token: str, mode: str, work: Callable[[Client], Awaitable[T]]) -> T:
    async def run() -> T:
        import httpx2

        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(f"{endpoint.url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                return await work(client)

    return anyio.run(run)


def test_the_tools_are_four_and_read_only(calls: Callable[..., Any]) -> None:
    tools = {tool.name: tool for tool in calls(None).tools}
    assert set(tools) == {"personalize", "explain", "trajectory", "peers"}
    assert all(t.annotations.read_only_hint and not t.annotations.destructive_hint for t in tools.values())
    assert all(t.description and t.output_schema for t in tools.values())


def test_a_prompt_and_how_it_came_about(calls: Callable[..., Any]) -> None:
    made = calls("personalize", {"patient": f"Patient/{ADA}", "question": TIRED})
    assert not made.is_error
    assert "penicillin V" in made.structured_content["prompt"]
    explained = calls("explain", {"answer_id": made.structured_content["id"]})
    assert explained.structured_content["prompt"] == made.structured_content["prompt"]
    assert explained.structured_content["endpoint"] == "personalize"


def test_her_course_and_her_peers(calls: Callable[..., Any]) -> None:
    course = calls("trajectory", {"patient": ADA}).structured_content
    (haemoglobin,) = [s for s in course["signals"] if s["name"] == "haemoglobin"]
    assert [point["value"] for point in haemoglobin["points"]] == pytest.approx([12.9, 12.8, 9.8], abs=1e-3)
    assert course["gestational_week"] == 30
    peers = calls("peers", {"patient": ADA}).structured_content
    assert peers == {"count": 0, "at_least": 10, "outcomes": [], "unstated": []}  # three women: nobody stands for ten


def test_who_may_see_whom_is_decided_as_everywhere(calls: Callable[..., Any], settings: Settings) -> None:
    bound = keys.mint(settings, "agent", ["system/Patient.rs"], [settings.subject_id(CLEO)], 1)
    assert not calls("peers", {"patient": CLEO}, bound).is_error
    foreign, nobody = (calls("personalize", {"patient": p, "question": TIRED}, bound) for p in (ADA, "nobody"))
    assert foreign.is_error
    assert foreign.content == nobody.content
    theirs = calls("personalize", {"patient": ADA, "question": TIRED}).structured_content["id"]
    hidden, none = (calls("explain", {"answer_id": a}, bound) for a in (theirs, "0" * 32))
    assert hidden.is_error
    assert hidden.content == none.content


def test_mistakes_are_told_without_repeating_what_was_sent(calls: Callable[..., Any]) -> None:
    for arguments in (
        {"patient": ADA, "question": "\x00secret"},
        {"patient": ADA},
        {"patient": "nobody-77", "question": TIRED},
    ):
        result = calls("personalize", arguments)
        assert result.is_error
        assert "secret" not in str(result.content)
        assert "nobody-77" not in str(result.content)


@pytest.mark.parametrize("shown", ["", "Basic cG1sbQ==", "Bearer not-a-token"])
def test_no_token_no_tools(endpoint: RunningEndpoint, shown: str) -> None:
    headers = {"Authorization": shown, "accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    response = httpx.post(f"{endpoint.url}/mcp", json=body, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_token_without_the_scope_is_refused(endpoint: RunningEndpoint, settings: Settings) -> None:
    token = keys.mint(settings, "agent", ["system/Observation.rs"], None, 1)
    response = httpx.post(f"{endpoint.url}/mcp", json={}, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 403


def test_every_tool_call_about_a_patient_is_in_the_audit_record(calls: Callable[..., Any], settings: Settings) -> None:
    before = sum(access.route == "/mcp" for access in audit.read(settings, settings.subject_id(ADA)))
    calls("trajectory", {"patient": ADA})
    after = [access for access in audit.read(settings, settings.subject_id(ADA)) if access.route == "/mcp"]
    assert len(after) == before + 1


@pytest.mark.attack("access", "a tool call about another patient, and one for an unknown answer", "recorded as refused")
def test_a_refused_tool_call_is_recorded_as_refused(calls: Callable[..., Any], settings: Settings) -> None:
    bound = keys.mint(settings, "refused-agent", ["system/Patient.rs"], [settings.subject_id(CLEO)], 1)
    whole = keys.mint(settings, "curious-agent", ["system/Patient.rs"], None, 1)
    before = [len(list(audit.read(settings, None, client))) for client in ("refused-agent", "curious-agent")]
    assert calls("trajectory", {"patient": ADA}, bound).is_error
    assert calls("explain", {"answer_id": "nobody-knows-it"}, whole).is_error
    refused, unknown = (
        [access.outcome for access in audit.read(settings, None, client)][count:]
        for client, count in zip(("refused-agent", "curious-agent"), before, strict=True)
    )
    assert (refused, unknown) == ([403], [404])


def test_no_identifier_is_in_what_a_tool_gives(calls: Callable[..., Any], settings: Settings) -> None:
    made = calls("personalize", {"patient": ADA, "question": TIRED}).structured_content
    given = [made, calls("trajectory", {"patient": ADA}).structured_content, calls("peers", {"patient": ADA})]
    text = json.dumps([str(one) for one in given])
    assert not [i for i in (*IDENTIFIERS, str(settings.subject_id(ADA))) if i in text]
