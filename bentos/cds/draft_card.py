"""Draft a reply to the newest unanswered question as a card (``PMLM_CDS_DRAFTS``)."""

from __future__ import annotations

from uuid import UUID

from bentos.auth.principal import Principal
from bentos.auth.routes import READ
from bentos.cds import card_texts
from bentos.cds.card_texts import render_text
from bentos.cds.cds_types import Card, HookRequest
from bentos.drafts.draft_answer import ENDPOINT, build_response
from bentos.drafts.open_question import find_open_question
from bentos.personalizer.personalizer import Personalizer
from pmlm.api_types import Language
from pmlm.draft_types import DraftResponse
from pmlm.errors import ServingError


def build_draft_cards(
    personalizer: Personalizer, principal: Principal, request: HookRequest, language: Language
) -> list[Card]:
    """One card, or none: without the setting, a clinician's token, an unanswered question or a draft.

    A draft that cannot be made or recorded is none: it keeps no card of a critical value from being shown.
    """
    if not personalizer.settings.cds_drafts or not principal.may_speak_as_clinician(READ):
        return []
    try:
        return _draft_open_question(personalizer, principal, request, language)
    except ServingError:
        return []


def _draft_open_question(
    personalizer: Personalizer, principal: Principal, request: HookRequest, language: Language
) -> list[Card]:
    settings = personalizer.settings
    subject = principal.subject(settings, request.context.patientId)
    question = find_open_question(settings.events, personalizer.release.events, subject, settings.now())
    if question is None:
        return []
    prepared = personalizer.prepare(principal, request.context.patientId, question)
    draft = build_response(personalizer, prepared)
    if not draft.sentences and draft.escalation is None:
        return []
    personalizer.record(prepared, ENDPOINT, prepared.response)
    return [_build_card(draft, question, language)]


def _build_card(draft: DraftResponse, question: str, language: Language) -> Card:
    """The escalation first, then each sentence with its donors and facts."""
    lines = [
        f"{s.text} ({render_text('draft_donors', language, n=s.donors)}{''.join(f' {f.text}' for f in s.facts)})"
        for s in draft.sentences
    ]
    parts = [
        *([f"**{card_texts.escape_markdown(draft.escalation)}**"] if draft.escalation else []),
        f"**{render_text('question', language)}:** {card_texts.escape_markdown(question)}",
        *([f"**{render_text('draft', language)}:**\n\n{card_texts.render_list(lines)}"] if lines else []),
        render_text("made_by", language, id=draft.id, release=draft.versions.release),
    ]
    return Card(
        uuid=UUID(hex=draft.id),
        summary=card_texts.shorten_summary(draft.escalation or render_text("draft", language)),
        detail="\n\n".join(parts),
        indicator="warning" if draft.escalation else "info",
        source=card_texts.make_source(language),
    )
