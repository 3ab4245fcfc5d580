"""Draft a reply by the running endpoint or in this process, and show it."""

from __future__ import annotations

from contextlib import closing

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
from pmlm.api_types import PersonalizeRequest
from pmlm.client import Client
from pmlm.draft_types import DraftResponse
from pmlm.errors import PmlmError
from pmlm.settings import Settings


def draft_reply(settings: Settings, patient: str, question: str) -> DraftResponse:
    """The draft of ``POST /draft``, from the running endpoint or else the current release.

    :class:`PmlmError` names the field of an invalid question; :class:`UnknownPatientError` for an unknown patient.
    """
    try:
        request = PersonalizeRequest(patient=patient, question=question)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise PmlmError(f"{first['loc'][0]}: {first['msg']}") from None
    endpoint = serving.find_running_endpoint(settings)
    if endpoint is not None:
        with Client(endpoint.url, development_token(settings)) as client:
            return client.draft(request.patient, request.question)
    from bentos.drafts.draft_answer import answer_draft  # slow: they import every model
    from bentos.personalizer.personalizer import Personalizer

    with (
        closing(Personalizer.open(settings, serving.current_release(settings))) as personalizer,
        audit.record_block(settings, "pmlm draft", LOCAL.client, StoreWriter("audit").write),
    ):
        return answer_draft(personalizer, LOCAL, request)


def render_draft(question: str, draft: DraftResponse) -> RenderableType:
    """The question, the escalation, then each sentence beside its facts and donors."""
    parts: list[RenderableType] = [Panel(Text(question), title="question", border_style="bold")]
    if draft.escalation:
        parts.append(Panel(Text(draft.escalation), title="red flag", border_style="bold red"))
    table = Table("sentence of this clinic", "fact of this record", "patients who received it")
    for sentence in draft.sentences:
        facts = " ".join(fact.text for fact in sentence.facts) or "none: it is general"
        table.add_row(Text(sentence.text), Text(facts), str(sentence.donors))
    parts.append(table if draft.sentences else Text(draft.reason or ""))
    return Group(*parts, Text("A draft for the clinician; no language model wrote it.", style="italic"))
