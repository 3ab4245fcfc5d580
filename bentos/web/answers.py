"""What each route under ``/page/api/`` answers, as functions of personalizer, principal and request.

The functions bear the routes' names. Every one resolves the patient through the principal, as the endpoint's own routes
do: a patient outside of the token's set is refused in the same words whether or not they exist. Nothing here enters the
interaction log: what was answered, and is learnt from, is what ``/v1/chat/completions`` streamed to the page.
"""

from __future__ import annotations

from bentos.auth import audit
from bentos.auth.principal import Principal
from bentos.personalizer import llm_answer
from bentos.personalizer.patient.patient_events import PatientEvent, find_newest, read_events
from bentos.personalizer.personalizer import Personalizer
from bentos.web import records
from bentos.web.clinician_reply import list_answered, show_reply
from bentos.web.effects import measure_effects
from bentos.web.page_types import (
    AnsweredQuestions,
    Choice,
    Choices,
    ClinicianReply,
    Effects,
    EffectsRequest,
    EventsRequest,
    PatientList,
    PatientRecord,
    PatientsRequest,
    PlainAnswer,
    RecordRequest,
    Sources,
)
from models.prompt.rendering import render_prompt
from pmlm.api_types import PersonalizeRequest
from pmlm.errors import FeaturesUnavailableError


def patients(personalizer: Personalizer, principal: Principal, request: PatientsRequest) -> PatientList:
    """The principal's patients with the newest entries; no other is shown or counted."""
    settings = personalizer.settings
    as_of = settings.now()
    newest = find_newest(settings.events, tuple(personalizer.release.events))
    subjects = sorted(filter(principal.allows, newest), key=lambda subject: (-newest[subject].timestamp(), subject))
    entries = []
    for subject in subjects[: request.limit]:
        try:
            row = personalizer.features.read(subject)
        except FeaturesUnavailableError:  # the patient can be listed without it
            entries.append(records.list_unread(subject, newest[subject], as_of, request.language))
            continue
        if row is not None:
            audit.touch(subject)  # a pregnancy is already shown here
            entries.append(records.list_patient(subject, row, newest[subject], as_of, request.language))
    return PatientList(
        clinic=settings.clinic,
        synthetic=settings.manifest.synthetic,
        llm=personalizer.llm.models[0],
        embedded=personalizer.llm.embedded,
        restates=personalizer.llm.restates,
        patients=entries,
        more=len(subjects) > request.limit,
    )


def record(personalizer: Personalizer, principal: Principal, request: RecordRequest) -> PatientRecord:
    """The patient's trajectories with the changes found, and their peers."""
    subject, row = personalizer.read_patient(principal, request.patient)
    as_of, known = personalizer.settings.now(), _read_events(personalizer, subject)
    return PatientRecord(
        pregnancy=records.describe_pregnancy(row, as_of, request.language),
        beliefs=records.list_beliefs(row, as_of, personalizer.settings.currency_rule, records.list_disputes(known)),
        trajectories=records.build_trajectories(known, row, as_of, request.language),
        peers=records.summarize_peers(
            row, personalizer.candidates.findings, personalizer.settings.k_anonymity, request.language
        ),
    )


def events(personalizer: Personalizer, principal: Principal, request: EventsRequest) -> Sources:
    """The events behind one sentence; the hash of another patient's line finds nothing."""
    subject, row = personalizer.read_patient(principal, request.patient)
    as_of = personalizer.settings.now()
    return records.find_sources(request.sources, _read_events(personalizer, subject), row, as_of, request.language)


def choices(personalizer: Personalizer, principal: Principal, request: PersonalizeRequest) -> Choices:
    """Every free candidate with its rank before and after, and the policy's own probabilities."""
    prepared = personalizer.prepare(principal, request.patient, request.question, request.language)
    personalized = prepared.personalized
    weights = personalizer.choice_probabilities(prepared)
    return Choices(
        refiner=prepared.response.versions.refiner,
        choices=[
            Choice(
                key=s.key,
                initial=rank,
                chosen=personalized.kept.index(s.key) if s.key in personalized.kept else None,
                tokens=s.tokens,
                probability=weights.of_segment(s.key, personalized.program.picks) if weights else None,
            )
            for rank, s in enumerate(s for s in personalized.segments if not s.pinned)
        ],
        styles=weights.styles if weights else None,
        stop=weights.stop[-1] if weights else None,
    )


def plain(personalizer: Personalizer, principal: Principal, request: PersonalizeRequest) -> PlainAnswer:
    """The same model's answer without the record, checked against it all the same."""
    prepared = personalizer.prepare_request(principal, request)
    personalized = prepared.personalized
    safety_alone = [s for s in personalized.segments if s.key == "safety"]
    prompt = render_prompt(safety_alone, "plain", personalized.language)
    answer = personalizer.ask_llm(prepared, prompt, None)
    words = llm_answer.compose(answer, prepared.response.escalation, prepared.response.language)
    return PlainAnswer(prompt=prompt, answer=words, llm=answer.report)


def effects(personalizer: Personalizer, principal: Principal, request: EffectsRequest) -> Effects:
    """What each choice changes in the likelihood of the reply that the caller gives."""
    prepared = personalizer.prepare(principal, request.patient, request.question, request.language)
    return measure_effects(personalizer, prepared, request.reply)


def questions(personalizer: Personalizer, principal: Principal, request: RecordRequest) -> AnsweredQuestions:
    """The patient's own questions that a clinician has answered."""
    return list_answered(personalizer, principal, request)


def reply(personalizer: Personalizer, principal: Principal, request: PersonalizeRequest) -> ClinicianReply:
    """What a clinician wrote to this question of the patient's own."""
    return show_reply(personalizer, principal, request)


def _read_events(personalizer: Personalizer, subject: int) -> list[PatientEvent]:
    settings = personalizer.settings
    return read_events(settings.events, personalizer.release.events, subject, settings.now())
