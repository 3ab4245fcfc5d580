"""Ask a patient's question of the running endpoint or in this process; show the answer."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bentos.auth import audit
from bentos.auth.keys import development_token
from bentos.auth.principal import LOCAL
from bentos.recording.store_writer import StoreWriter
from pipelines.packaging import serving
from pmlm.api_types import Language, PersonalizeRequest
from pmlm.console.clinician_reply import count_facts, draw_reply
from pmlm.errors import PmlmError
from pmlm.settings import Settings

#: Labels of red flags, the gravest first.
LABELS = ("emergency", "urgent", "routine")


@dataclass(frozen=True, slots=True)
class AskedAnswer:
    """A response of ``POST /answer``, the same model's answer without the record, and who answered.

    ``unpersonalised`` is None after an emergency, or where it was not asked for; ``clinician`` is what a clinician
    wrote to the same question, None where nobody has.
    """

    response: dict[str, Any]
    unpersonalised: str | None
    asked: str
    clinician: dict[str, Any] | None = None

    def summarize(self) -> dict[str, Any]:
        """The answer as the one JSON object that ``pmlm ask --json`` ends with."""
        response = self.response
        found = {flag["label"] for flag in response["red_flags"]}
        return {
            "id": response["id"],
            "label": next((label for label in LABELS if label in found), "routine"),
            "answer": response["answer"],
            "unpersonalised": self.unpersonalised,
            "llm": response["llm"]["model"],
            "llm_called": response["llm"]["asked"],
            "llm_error": response["llm"]["error"],
            "asked": self.asked,
            "clinician": self.clinician,
            "kept": [segment["key"] for segment in response["segments"] if segment["kept"]],
            "prompt": response["prompt"],
        }


def ask_question(
    settings: Settings, patient: str, question: str, language: Language | None = None, compare: bool = False
) -> AskedAnswer:
    """Ask the running endpoint, or else the current release.

    ``compare`` asks without the record too, and for what a clinician wrote to the same question.

    :class:`PmlmError` names the field of an invalid question; :class:`UnknownPatientError` for an unknown patient.
    """
    try:
        request = PersonalizeRequest(patient=patient, question=question, language=language)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise PmlmError(f"{first['loc'][0]}: {first['msg']}") from None
    endpoint = serving.find_running_endpoint(settings)
    if endpoint is not None:
        token, seconds = development_token(settings), settings.llm_timeout_s + 30
        response = endpoint.answer(request, token, seconds)
        who = f"the endpoint at {endpoint.url}"
        if not compare:
            return AskedAnswer(response, None, who)
        other = endpoint.ask_page("plain", request, token, seconds)["answer"] if _has_answer(response) else None
        written = endpoint.ask_page("reply", request, token, seconds)
        return AskedAnswer(response, other, who, written if written["sentences"] else None)
    from bentos.personalizer.personalizer import Personalizer  # slow: it imports every model
    from bentos.web import answers

    with (
        closing(Personalizer.open(settings, serving.current_release(settings))) as personalizer,
        audit.record_block(settings, "pmlm ask", LOCAL.client, StoreWriter("audit").write),
    ):
        response = personalizer.answer(LOCAL, request).model_dump(mode="json")
        who = f"release {response['versions']['release']}, in this process"
        if not compare:
            return AskedAnswer(response, None, who)
        plain = answers.plain(personalizer, LOCAL, request).answer if _has_answer(response) else None
        written = answers.reply(personalizer, LOCAL, request).model_dump(mode="json")
        return AskedAnswer(response, plain, who, written if written["sentences"] else None)


def _has_answer(response: dict[str, Any]) -> bool:
    """Whether there is an answer besides an escalation."""
    return bool(response["llm"]["asked"] or response["llm"]["restated"])


def render_asked(question: str, asked: AskedAnswer, prompts: bool) -> RenderableType:
    """The question, any red flags, the answer beside the one without the record; ``prompts`` adds the prompts."""
    response, parts = asked.response, _render_question(question, asked.response)
    beside = [] if asked.unpersonalised is None else [("without the record", asked.unpersonalised, "dim")]
    parts.append(_draw_panels((_title_answer(response), response["answer"], "green"), *beside))
    used = [segment["text"] for segment in response["segments"] if segment["kept"] and not segment["pinned"]]
    parts.append(Text("from the record: " + "; ".join(used) if used else "nothing of the record was chosen"))
    if asked.clinician:
        parts += [draw_reply(asked.clinician), Text(count_facts(asked.clinician))]
    if prompts:
        parts.append(_draw_panels(*_list_prompts(response)))
    parts.append(Text(f"asked: {asked.asked}; where it came from: pmlm trace {response['id']}", style="dim"))
    return Group(*parts, *_render_notes(response))


def render_answer(question: str, response: dict[str, Any]) -> RenderableType:
    """The question, any red flags, then both prompts and the answer side by side."""
    panels = _draw_panels(*_list_prompts(response), (_title_answer(response), response["answer"], "green"))
    return Group(*_render_question(question, response), panels, *_render_notes(response))


def _list_prompts(response: dict[str, Any]) -> list[tuple[str, str, str]]:
    used = sum(segment["kept"] for segment in response["segments"])
    return [
        (f"initial prompt · {len(response['segments'])} facts", response["initial_prompt"], "dim"),
        (f"refined prompt · {used} facts", response["prompt"], "cyan"),
    ]


def _title_answer(response: dict[str, Any]) -> str:
    return f"answer · {response['llm']['model'] if _has_answer(response) else 'fixed text'}"


def _draw_panels(*panels: tuple[str, str, str]) -> RenderableType:
    """Panels (title, text, style) side by side."""
    columns = Table.grid(expand=True, padding=(0, 1))
    for _ in panels:
        columns.add_column(ratio=1)
    columns.add_row(*(Panel(Text(body), title=Text(title), border_style=style) for title, body, style in panels))
    return columns


def _render_question(question: str, response: dict[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Panel(Text(question), title="question", border_style="bold")]
    if response["red_flags"]:
        signs = "; ".join(f"{flag['label']}: {flag['why']}" for flag in response["red_flags"])
        parts.append(Panel(Text(f"{signs}\n{response['escalation']}"), title="red flag", border_style="bold red"))
    return parts


def _render_notes(response: dict[str, Any]) -> list[RenderableType]:
    versions = " · ".join(f"{name} {value}" for name, value in response["versions"].items())
    donors, disclaimer = Text(_list_donors(response), style="dim"), Text(response["disclaimer"], style="italic")
    return [donors, disclaimer, Text(versions, style="dim")]


def _list_donors(response: dict[str, Any]) -> str:
    """One line per fact of the refined prompt: how many like patients' clinicians took it up."""
    if not response["versions"].get("ranker"):
        return "ranked by nearness to the question and by guidance: too few replies to learn from"
    lines = [
        f"in replies to like questions, {s['share']:.0%} of {s['donors']} patients' clinicians took this up: "
        f"{s['text']}"
        for s in response["segments"]
        if s["kept"] and s.get("donors")
    ]
    return "\n".join(lines) or "no fact of the refined prompt was known of enough patients with a like question"
