"""Show a clinician's reply to a patient's question, and which prompt carried its facts.

The one comparison that needs no language model to be believed: of the facts that a reply rests on, how many are in the
refined prompt, in the initial one, among as many facts chosen by nearness to the question, and in a prompt of the
pinned facts alone. For a clinician only: a reply is part of the record, and so are the patient's other questions.
"""

from __future__ import annotations

from bentos.auth.principal import Principal
from bentos.auth.routes import READ
from bentos.personalizer.patient.past_replies import PastReply, list_replies
from bentos.personalizer.patient.portal_messages import read_words
from bentos.personalizer.personalizer import Personalizer
from bentos.web.page_types import (
    PROMPTS,
    AnsweredQuestions,
    ClinicianReply,
    PromptName,
    RecordRequest,
    ReplyFact,
    WrittenSentence,
)
from models.replies.patient_split import TRAIN, assign_split
from models.replies.reply_facts import find_nearest, tie_sentences
from models.templates import format_ago
from pmlm.api_types import PersonalizeRequest
from pmlm.errors import AccessError

#: Questions of a patient that are offered to be asked again, the newest first.
MOST_QUESTIONS = 3


def list_answered(personalizer: Personalizer, principal: Principal, request: RecordRequest) -> AnsweredQuestions:
    """The patient's newest questions that a clinician has answered; none for anybody but a clinician."""
    subject = principal.subject(personalizer.settings, request.patient)
    if not principal.may_speak_as_clinician(READ):
        return AnsweredQuestions(questions=[])
    asked = dict.fromkeys(past.question for past in _list(personalizer, subject))
    return AnsweredQuestions(questions=list(asked)[:MOST_QUESTIONS])


def show_reply(personalizer: Personalizer, principal: Principal, request: PersonalizeRequest) -> ClinicianReply:
    """The clinician's reply to this question of this patient; without sentences where there is none.

    :class:`AccessError` for a token that may not speak as a clinician.
    """
    if not principal.may_speak_as_clinician(READ):
        raise AccessError("a clinician's reply is for a clinician: it needs a user or system scope, without a patient")
    prepared = personalizer.prepare(principal, request.patient, request.question, request.language)
    words = read_words(request.question)
    past = next((p for p in _list(personalizer, prepared.subject) if p.question == words), None)
    if past is None:
        return ClinicianReply(sentences=[], ago=None, held_out=False, facts=0, carried=dict.fromkeys(PROMPTS, 0))
    personalized, encoder = prepared.personalized, personalizer.encoder
    segments = personalized.segments
    tied = tie_sentences(request.question, past.reply, segments, prepared.as_of, encoder)
    pinned = {s.key for s in segments if s.pinned}
    nearest = find_nearest(request.question, segments, len(personalized.kept), encoder)
    encoder.forget(request.question)
    holds: dict[PromptName, set[str]] = {
        "refined": {*pinned, *personalized.kept},
        "initial": {s.key for s in segments},
        "nearest": {*pinned, *nearest},
        "none": pinned,
    }
    rested = {sentence.fact.key for sentence in tied if sentence.fact is not None}
    return ClinicianReply(
        sentences=[
            WrittenSentence(
                text=sentence.text,
                fact=ReplyFact(key=sentence.fact.key, text=sentence.fact.text) if sentence.fact else None,
                carried=[name for name in PROMPTS if sentence.fact is not None and sentence.fact.key in holds[name]],
            )
            for sentence in tied
        ],
        ago=format_ago(past.asked, prepared.as_of, prepared.response.language),
        held_out=_is_held_out(personalizer, prepared.subject),
        facts=len(rested),
        carried={name: len(rested & holds[name]) for name in PROMPTS},
    )


def _list(personalizer: Personalizer, subject: int) -> list[PastReply]:
    settings = personalizer.settings
    return list_replies(settings.events, personalizer.release.events, subject, settings.now())


def _is_held_out(personalizer: Personalizer, subject: int) -> bool:
    """Whether no reply to this patient has taught the served refiner anything."""
    shares = personalizer.release.params["episodes"]
    return assign_split(subject, shares["gate_share"], shares["test_share"]) != TRAIN
