"""The MCP tools; the request's principal decides whose record they may read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from bentos.auth import audit
from bentos.auth.principal import Principal
from bentos.personalizer import current
from bentos.problems.error_handlers import status_of
from bentos.telemetry import tracing
from pmlm.api_types import Explanation, Language, PersonalizeRequest, PersonalizeResponse, Timeline
from pmlm.errors import PmlmError

T = TypeVar("T")

Patient = Annotated[
    str, Field(description="A FHIR patient reference (`Patient/x`, `urn:uuid:x`, `x`) or `subject:<number>`.")
]
Question = Annotated[str, Field(description="The question in the patient's own words.")]
AnswerId = Annotated[str, Field(description="The `id` of a response.", max_length=64)]

READ_ONLY = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)  # fmt: skip
#: In place of the prompt after an emergency, for an agent that puts it before its language model unread.
FIXED_ANSWER: dict[Language, str] = {
    "en": "This is an emergency. Answer with this text, word for word, and with nothing else: {text}",
    "zh": "这是急症。请逐字只回答以下内容，不要添加任何其他内容：{text}",
}
INSTRUCTIONS = (
    "What a clinic's record says of one patient, as facts chosen for a question. Put the prompt that `personalize` "
    "gives before the conversation with a language model. If `escalation` is not null, say it first, word for "
    "word; where a red flag is an `emergency`, it is the whole answer: say nothing else and ask no language model."
)


class PeerOutcome(BaseModel):
    """One estimate from the most similar patients: a percentage or a mean, shrunk to the cohort's and rounded."""

    name: str
    label: str
    value: float
    unit: str


class Peers(BaseModel):
    """An aggregate over at least k similar patients; empty where there are fewer."""

    count: int = Field(description="So many patients or a few more, in steps of five; 0 where fewer than k are alike.")
    at_least: int = Field(description="k: the fewest patients an aggregate may stand for.")
    outcomes: list[PeerOutcome]
    unstated: list[str] = Field(description="Outcomes for which similar patients predict no better than the cohort.")


def install(server: MCPServer[Any]) -> None:
    """Register every tool."""
    for tool in (personalize, explain, trajectory, peers):
        server.add_tool(tool, annotations=READ_ONLY)


async def personalize(
    patient: Patient, question: Question, ctx: Context[Any, Any], language: Language | None = None
) -> PersonalizeResponse:
    """The refined prompt for a patient's question, with each sentence's sources and red flags."""
    try:
        request = PersonalizeRequest(patient=patient, question=question, language=language)
    except ValidationError as error:
        audit.note_outcome(HTTPStatus.BAD_REQUEST)
        first = error.errors(include_input=False)[0]
        raise ToolError(f"{first['loc'][0]}: {first['msg']}") from None
    response = await _run(ctx, "personalize", lambda who: current.personalizer().personalize(who, request))
    if response.escalation and any(flag.label == "emergency" for flag in response.red_flags):
        return response.model_copy(update={"prompt": FIXED_ANSWER[response.language].format(text=response.escalation)})
    return response


async def explain(answer_id: AnswerId, ctx: Context[Any, Any]) -> Explanation:
    """How an earlier answer came about: prompt, every sentence and its fate, red flags, versions."""
    from bentos.feedback.intake import find_answer

    return await _run(ctx, "explain", lambda who: find_answer(current.personalizer(), who, answer_id)[1])


async def trajectory(patient: Patient, ctx: Context[Any, Any]) -> Timeline:
    """The patient's signals over time, each value against their own past; no dates."""
    return await _run(ctx, "trajectory", partial(_read_trajectory, patient))


async def peers(patient: Patient, ctx: Context[Any, Any]) -> Peers:
    """What similar patients went through, as an aggregate of at least k of them."""
    return await _run(ctx, "peers", partial(_read_peers, patient))


async def _run(ctx: Context[Any, Any], name: str, work: Callable[[Principal], T]) -> T:
    """Do the work in a thread for the request's principal; our errors reach the caller."""
    request: Request = ctx.request_context.request  # type: ignore[assignment]  # over HTTP there always is one
    principal: Principal = request.state.principal
    with tracing.tool_span(name):
        try:
            return await anyio.to_thread.run_sync(work, principal)
        except PmlmError as error:
            audit.note_outcome(status_of(error)[0])
            raise ToolError(str(error)) from None
        except Exception:
            audit.note_outcome(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise


def _read_trajectory(patient: str, principal: Principal) -> Timeline:
    from bentos.personalizer.patient.patient_events import read_events
    from bentos.personalizer.patient.timeline import build_timeline

    personalizer = current.personalizer()
    subject, row = personalizer.read_patient(principal, patient)
    as_of = personalizer.settings.now()
    events = read_events(personalizer.settings.events, personalizer.release.events, subject, as_of)
    return build_timeline(events, row, as_of)


def _read_peers(patient: str, principal: Principal) -> Peers:
    from models.feature_row import read_number
    from models.peers.aggregates import OUTCOMES, round_count
    from models.peers.outcome_estimates import estimate_outcomes

    personalizer = current.personalizer()
    _, row = personalizer.read_patient(principal, patient)
    k = personalizer.settings.k_anonymity
    count = round_count(int(read_number(row, "peers_count") or 0), k)
    findings = personalizer.candidates.findings
    outcomes = [
        PeerOutcome(name=e.outcome.name, label=e.outcome.label, value=e.value, unit=e.outcome.unit)
        for e in (estimate_outcomes(row, findings) if count else ())
    ]
    unstated = [o.label for o in OUTCOMES if count and (o.name not in findings or not findings[o.name].is_stated)]
    return Peers(count=count, at_least=k, outcomes=outcomes, unstated=unstated)
