"""Answer ``POST /draft``: sentences of the clinic that fit this record, for a clinician.

A patient's own token gets no draft, and neither does one that is bound to patients: what is drafted was written to
other patients, and only a clinician can say whether it may be sent. A red flag's escalation stands first, and the
safety check of answers has dropped whatever plays it down. The interaction log gets the same line as for a prompt,
without a word of the draft.
"""

from __future__ import annotations

from bentos.auth.principal import Principal
from bentos.auth.routes import READ
from bentos.personalizer.personalizer import Personalizer
from bentos.personalizer.prepared_prompt import PreparedPrompt
from bentos.telemetry import metrics
from models.drafts.drafting import Draft, draft_reply
from models.peers.aggregates import coarsen
from models.peers.recommendation import SHARE_STEP
from pmlm.api_types import PersonalizeRequest
from pmlm.draft_types import DraftedSentence, DraftFact, DraftResponse
from pmlm.errors import AccessError

ENDPOINT = "draft"
NO_CATALOGUE = "no draft: this release has no sentences of the clinic's replies"
NO_SENTENCE = "no draft: fewer than {k} patients received like replies"
NO_RECORD = "no draft: the patient's record cannot be read at the moment, or nothing is on it"
NOT_ENGLISH = "no draft: drafts are made of English replies alone"
ALL_WITHHELD = "no draft: what the clinic writes did not pass the safety check of this record"


def answer_draft(personalizer: Personalizer, principal: Principal, request: PersonalizeRequest) -> DraftResponse:
    """Draft a reply, and record that it was drafted.

    :class:`AccessError` for a token that may not speak as a clinician, before anything of the patient is read; raises
    as :meth:`Personalizer.prepare` does.
    """
    if not principal.may_speak_as_clinician(READ):
        raise AccessError("a draft is for a clinician: it needs a user or system scope, and no patient in the token")
    prepared = personalizer.prepare_request(principal, request)
    response = build_response(personalizer, prepared)
    recorded = personalizer.record(prepared, ENDPOINT, prepared.response)
    return response.model_copy(update={"escalation": recorded.escalation})


def build_response(personalizer: Personalizer, prepared: PreparedPrompt) -> DraftResponse:
    """The draft for a prepared question, unrecorded."""
    draft, reason = _make_draft(personalizer, prepared)
    metrics.DRAFTS.labels("none" if reason else "made").inc()
    given = prepared.response
    return DraftResponse(
        id=given.id,
        escalation=given.escalation,
        red_flags=given.red_flags,
        sentences=[
            DraftedSentence(
                id=one.id,
                text=one.text,
                role=one.role,
                facts=[DraftFact(key=f.key, text=f.text, sources=list(f.sources)) for f in one.facts],
                donors=one.donors,
                probability=coarsen(one.probability, SHARE_STEP),  # few patients may be behind the exact one
            )
            for one in draft.sentences
        ],
        text=draft.text,
        reason=reason,
        withheld=dict(draft.withheld),
        language=given.language,
        versions=given.versions,
    )


def _make_draft(personalizer: Personalizer, prepared: PreparedPrompt) -> tuple[Draft, str | None]:
    """The draft, and why it is empty."""
    nothing = Draft((), {})
    catalogue = personalizer.of_patient(prepared.subject).catalogue
    if catalogue is None or catalogue.k < personalizer.settings.k_anonymity:  # k was raised after the release
        return nothing, NO_CATALOGUE
    if prepared.personalized.language != "en":
        return nothing, NOT_ENGLISH
    if prepared.response.degraded or prepared.response.personalization == "none":
        return nothing, NO_RECORD
    question = personalizer.encoder.encode([prepared.question])[0]
    personalizer.forget_question(prepared.question)
    check = personalizer.make_check(prepared)
    draft = draft_reply(question, prepared.personalized.segments, catalogue, check)
    if draft.sentences:
        return draft, None
    return draft, ALL_WITHHELD if draft.withheld else NO_SENTENCE.format(k=catalogue.k)
