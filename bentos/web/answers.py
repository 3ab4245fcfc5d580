"""What each route under ``/page/api/`` answers; plain functions of the personalizer, the principal and the question.

Every one resolves the patient through the principal, as the endpoint's own routes do: a patient outside of the
token's set is refused in the same words whether or not she exists. Nothing here enters the interaction log: what was
answered, and is learnt from, is what ``/answer`` gave.
"""

from __future__ import annotations

from bentos.auth import audit
from bentos.auth.principal import Principal
from bentos.personalizer import llm_answer
from bentos.personalizer.patient_events import Event, known, newest
from bentos.personalizer.personalizer import Personalizer
from bentos.web import records
from bentos.web.effects import effects as measure
from bentos.web.page_types import (
    Choice,
    Choices,
    Effects,
    EffectsAsked,
    EventsAsked,
    Patients,
    PatientsAsked,
    PlainAnswer,
    Record,
    RecordAsked,
    Sources,
)
from models.llm import EmbeddedLLM
from models.prompt.ranking import render
from pmlm.api_types import PersonalizeRequest
from pmlm.errors import FeaturesUnavailableError


def patients(personalizer: Personalizer, principal: Principal, asked: PatientsAsked) -> Patients:
    """Those of the principal's patients whose records have the newest entries; no other is shown or counted."""
    settings = personalizer.settings
    as_of = settings.now()
    news = newest(settings.events, tuple(personalizer.release.events))
    hers = sorted(filter(principal.allows, news), key=lambda subject: (-news[subject].timestamp(), subject))
    shown = []
    for subject in hers[: asked.limit]:
        try:
            row = personalizer.rows.read(subject)
        except FeaturesUnavailableError:  # whom to ask about can be told without it
            shown.append(records.unread(subject, news[subject], as_of, asked.language))
            continue
        if row is not None:
            audit.touch(subject)  # that she is pregnant is told here already
            shown.append(records.listed(subject, row, news[subject], as_of, asked.language))
    return Patients(
        clinic=settings.clinic,
        synthetic=settings.manifest.synthetic,
        llm=personalizer.llm.id,
        embedded=isinstance(personalizer.llm, EmbeddedLLM),
        patients=shown,
        more=len(hers) > asked.limit,
    )


def record(personalizer: Personalizer, principal: Principal, asked: RecordAsked) -> Record:
    """Her trajectories with the changes found, and her peers."""
    subject, row = personalizer.row(principal, asked.patient)
    as_of = personalizer.settings.now()
    return Record(
        pregnancy=records.pregnancy(row, as_of, asked.language),
        trajectories=records.trajectories(_events(personalizer, subject), row, as_of, asked.language),
        peers=records.peers(row, personalizer.settings.k_anonymity, asked.language),
    )


def events(personalizer: Personalizer, principal: Principal, asked: EventsAsked) -> Sources:
    """The events behind the sources of one sentence; the hash of another patient's line finds nothing."""
    subject, row = personalizer.row(principal, asked.patient)
    as_of = personalizer.settings.now()
    return records.sources(asked.sources, _events(personalizer, subject), row, as_of, asked.language)


def choices(personalizer: Personalizer, principal: Principal, asked: PersonalizeRequest) -> Choices:
    """Every free candidate with its rank before and after, and the policy's own probabilities."""
    prepared = personalizer.prepare(principal, asked.patient, asked.question, asked.language)
    made = prepared.made
    weights = personalizer.weights(prepared)
    return Choices(
        refiner=personalizer.release.refiner,
        choices=[
            Choice(
                key=s.key,
                initial=rank,
                chosen=made.kept.index(s.key) if s.key in made.kept else None,
                tokens=s.tokens,
                probability=weights.of(s.key, made.program.picks) if weights else None,
            )
            for rank, s in enumerate(s for s in made.segments if not s.pinned)
        ],
        styles=weights.styles if weights else None,
        stop=weights.stop[-1] if weights else None,
    )


def plain(personalizer: Personalizer, principal: Principal, asked: PersonalizeRequest) -> PlainAnswer:
    """The same model's answer to the same question without her record, checked against it all the same."""
    prepared = personalizer.prepare(principal, asked.patient, asked.question, asked.language)
    made = prepared.made
    prompt = render([s for s in made.segments if s.key == "safety"], "plain", made.language)
    said = personalizer.asked(prepared, prompt)
    answer = llm_answer.compose(said, prepared.response.escalation, prepared.response.language)
    return PlainAnswer(prompt=prompt, answer=answer, llm=said.report)


def effects(personalizer: Personalizer, principal: Principal, asked: EffectsAsked) -> Effects:
    """What each choice changes in the likelihood of the reply that the caller gives."""
    prepared = personalizer.prepare(principal, asked.patient, asked.question, asked.language)
    made, weights = prepared.made, personalizer.weights(prepared)
    order = list(made.dropped)
    if weights is not None:
        order.sort(key=lambda key: -(weights.of(key, made.program.picks) or 0.0))
    price = float(personalizer.release.params["train"]["token_price"])
    return measure(personalizer.settings.embedded_llm, made, asked.question, asked.reply, order, price)


def _events(personalizer: Personalizer, subject: int) -> list[Event]:
    settings = personalizer.settings
    return known(settings.events, personalizer.release.events, subject, settings.now())
