"""Turn feedback on an answer into signals of the reward log."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from bentos.auth import audit
from bentos.auth.principal import FOREIGN, Principal
from bentos.auth.routes import READ
from bentos.personalizer.personalizer import Personalizer
from bentos.telemetry import metrics
from models.feedback import (
    OTHER_POINTS,
    PREFERRED_POINTS,
    THUMB_POINTS,
    DraftOutcome,
    Feedback,
    FeedbackKind,
    Giver,
)
from pmlm.api_types import Explanation
from pmlm.errors import AccessError, ForeignPatientError, UnknownAnswerError
from pmlm.feedback_types import FeedbackReceipt, FeedbackRequest
from pmlm.settings import Settings

#: Texts of one request by the name they have in the store.
TEXTS = ("question", "edit", "comment")
#: The surface whose answers are drafts (``bentos.drafts``).
DRAFT = "draft"


def record_feedback(personalizer: Personalizer, principal: Principal, request: FeedbackRequest) -> FeedbackReceipt:
    """Record feedback on an answer.

    :class:`UnknownAnswerError` where no such answer is stored, :class:`ForeignPatientError` where the token opens other
    patients only (whether or not there is such an answer), :class:`AccessError` for a token that may not speak as a
    clinician and does.
    """
    subject, answer = find_answer(personalizer, principal, request.answer_id)
    if request.by == "clinician":
        require_clinician(principal)
    make = partial(make_signal, personalizer.settings, principal, subject=subject, user=request.user, by=request.by)
    signals = [make(answer, kind=kind, points=_points(request)) for kind in _kinds(request)]
    if request.draft is not None:
        if answer.endpoint != DRAFT:
            raise UnknownAnswerError("no draft by this id is stored")
        signals += [
            make(answer, kind="draft", points=None, sentence=one.sentence, outcome=one.outcome) for one in request.draft
        ]
    if request.preferred_over is not None:
        other_subject, other = find_answer(personalizer, principal, request.preferred_over)
        if other_subject != subject:
            raise UnknownAnswerError("preferred_over names no answer to the same patient")
        signals.append(make(other, kind="preferred", points=OTHER_POINTS))
    counts = personalizer.feedback.count(signals)
    texts = {name: text for name in TEXTS if (text := getattr(request, name)) is not None}
    personalizer.feedback.append(signals, texts if counts else {})
    count_signals(signals, counts)
    return FeedbackReceipt(id=signals[0].id, counts=counts)


def find_answer(personalizer: Personalizer, principal: Principal, answer_id: str) -> tuple[int, Explanation]:
    """An answer's patient and how it came about; raises as :func:`record_feedback` does."""
    found = personalizer.explanations.find(answer_id)
    if found is not None:
        audit.touch(found[0])
        if principal.allows(found[0]):
            return found
    if principal.patients is not None:  # the same words for another patient's answer and for none
        raise ForeignPatientError(FOREIGN)
    raise UnknownAnswerError("no answer by this id is kept")


def require_clinician(principal: Principal) -> None:
    """Raise :class:`AccessError` unless the token reads every patient: what a clinician writes teaches everyone."""
    if not principal.may_speak_as_clinician(READ):
        raise AccessError("a clinician's opinion needs a token with a user or system scope and without a patient")


def giver_hash(settings: Settings, principal: Principal, user: str | None) -> int:
    """The giver as a keyed hash of the client and the person it names.

    The token of a patient is the patient's: whatever person its client names, it is one giver.
    """
    return settings.pseudonym("giver", principal.client, (user or "") if principal.patients is None else "")


def make_signal(
    settings: Settings, principal: Principal, answer: Explanation, *, subject: int, user: str | None, by: Giver,
    kind: FeedbackKind, points: float | None, reason: str | None = None, sentence: str | None = None,
    outcome: DraftOutcome | None = None,
) -> Feedback:  # fmt: skip
    """One signal of the reward log."""
    return Feedback(
        id=uuid.uuid4().hex,
        answer=answer.id,
        subject=subject,
        at=settings.now(),
        received=datetime.now(UTC),
        giver=giver_hash(settings, principal, user),
        client=giver_hash(settings, principal, None),
        by=by,
        kind=kind,
        points=None if kind in ("edit", "comment") else points,
        picks=tuple(answer.program.picks),
        style=answer.program.style,
        log_prob=answer.program.log_prob,
        refiner=answer.versions.refiner,
        release=answer.versions.release,
        endpoint=answer.endpoint,
        reason=reason,
        sentence=sentence,
        outcome=outcome,
    )


def count_signals(signals: Sequence[Feedback], counts: bool) -> None:
    """Count signals by kind, and those beyond the cap."""
    for signal in signals:
        metrics.FEEDBACK.labels(signal.kind).inc()
    if not counts:
        metrics.CAP_HITS.labels("feedback").inc()


def _points(request: FeedbackRequest) -> float | None:
    if request.rating is not None:
        return float(request.rating)
    if request.preferred_over is not None:
        return PREFERRED_POINTS
    return THUMB_POINTS[request.thumbs] if request.thumbs else None


def _kinds(request: FeedbackRequest) -> list[FeedbackKind]:
    """A request's kinds of signal, one with a text first: texts go under that id."""
    kinds: list[FeedbackKind] = []
    if request.edit is not None:
        kinds.append("edit")
    elif request.comment is not None:
        kinds.append("comment")
    if request.rating is not None:
        kinds.append("rating")
    elif request.thumbs is not None:
        kinds.append("thumbs")
    elif request.preferred_over is not None:
        kinds.append("preferred")
    return kinds
