"""Ask a patient's question of the running endpoint or in this process; show the answer."""

from __future__ import annotations

from contextlib import closing
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
from pmlm.errors import PmlmError
from pmlm.settings import Settings


def ask_question(settings: Settings, patient: str, question: str, language: Language | None = None) -> dict[str, Any]:
    """The answer of ``POST /answer``, from the running endpoint or else the current release.

    :class:`PmlmError` names the field of an invalid question; :class:`UnknownPatientError` for an unknown patient.
    """
    try:
        request = PersonalizeRequest(patient=patient, question=question, language=language)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise PmlmError(f"{first['loc'][0]}: {first['msg']}") from None
    endpoint = serving.find_running_endpoint(settings)
    if endpoint is not None:
        return endpoint.answer(request, development_token(settings), settings.llm_timeout_s + 30)
    from bentos.personalizer.personalizer import Personalizer  # slow: it imports every model

    with (
        closing(Personalizer.open(settings, serving.current_release(settings))) as personalizer,
        audit.record_block(settings, "pmlm ask", LOCAL.client, StoreWriter("audit").write),
    ):
        return personalizer.answer(LOCAL, request).model_dump(mode="json")


def render_answer(question: str, answer: dict[str, Any]) -> RenderableType:
    """The question, any red flags, then both prompts and the answer side by side."""
    columns = Table.grid(expand=True, padding=(0, 1))
    used = sum(segment["kept"] for segment in answer["segments"])
    panels = (
        (f"initial prompt · {len(answer['segments'])} facts", answer["initial_prompt"], "dim"),
        (f"refined prompt · {used} facts", answer["prompt"], "cyan"),
        (
            f"answer · {answer['llm']['model'] if answer['llm'].get('asked', True) else 'fixed text'}",
            answer["answer"],
            "green",
        ),
    )
    for _ in panels:
        columns.add_column(ratio=1)
    columns.add_row(*(Panel(Text(body), title=Text(title), border_style=style) for title, body, style in panels))
    parts: list[RenderableType] = [Panel(Text(question), title="question", border_style="bold")]
    if answer["red_flags"]:
        signs = "; ".join(f"{flag['label']}: {flag['why']}" for flag in answer["red_flags"])
        parts.append(Panel(Text(f"{signs}\n{answer['escalation']}"), title="red flag", border_style="bold red"))
    versions = " · ".join(f"{name} {value}" for name, value in answer["versions"].items())
    disclaimer = Text(answer["disclaimer"], style="italic")
    return Group(*parts, columns, Text(_list_donors(answer), style="dim"), disclaimer, Text(versions, style="dim"))


def _list_donors(answer: dict[str, Any]) -> str:
    """One line per fact of the refined prompt: how many like patients' clinicians took it up."""
    if not answer["versions"].get("ranker"):
        return "initial prompt by nearness to the question: too few replies to learn from"
    lines = [
        f"in replies to like questions, {s['share']:.0%} of {s['donors']} patients' clinicians took this up: "
        f"{s['text']}"
        for s in answer["segments"]
        if s["kept"] and s.get("donors")
    ]
    return "\n".join(lines) or "no fact of the refined prompt was known of enough patients with a like question"
