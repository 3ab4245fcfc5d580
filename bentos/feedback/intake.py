"""From what someone says of an answer to lines of the reward log, for those who may see the answer's patient."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from bentos.auth import audit
from bentos.auth.principal import FOREIGN, Principal
from bentos.auth.scopes import only_patient_level
from bentos.personalizer.personalizer import Personalizer
from bentos.telemetry import metrics
from models.feedback import OTHER, PREFERRED, THUMBS, Feedback, Giver, Kind
from pmlm.api_types import Explanation
from pmlm.errors import AccessError, ForeignPatientError, UnknownAnswerError
from pmlm.feedback_types import FeedbackReceipt, FeedbackRequest
from pmlm.settings import Settings

#: Texts of one request by the name they have in the store.
TEXTS = ("question", "edit", "comment")


def give(personalizer: Personalizer, principal: Principal, request: FeedbackRequest) -> FeedbackReceipt:
    """Keep what is said of an answer.

    :class:`UnknownAnswerError` where no such answer is kept, :class:`ForeignPatientError` where the token opens other
    patients only (whether or not there is such an answer), :class:`AccessError` for a patient's token that speaks as
    a clinician.
    """
    if request.by == "clinician" and only_patient_level(principal.scopes):
        raise AccessError("a patient's token gives the patient's own opinion")
    subject, answer = find(personalizer, principal, request.answer_id)
    giver = giver_hash(personalizer.settings, principal, request.user)
    speak = partial(line, personalizer.settings, subject=subject, giver=giver, by=request.by)
    said = [speak(answer, kind=kind, points=_points(request)) for kind in _kinds(request)]
    if request.preferred_over is not None:
        other_subject, other = find(personalizer, principal, request.preferred_over)
        if other_subject != subject:
            raise UnknownAnswerError("preferred_over names no answer to the same patient")
        said.append(speak(other, kind="preferred", points=OTHER))
    counts = personalizer.feedback.counts(giver, subject, [one.answer for one in said])
    texts = {name: text for name in TEXTS if (text := getattr(request, name)) is not None}
    personalizer.feedback.keep(said, texts if counts else {})
    note(said, counts)
    return FeedbackReceipt(id=said[0].id, counts=counts)


def find(personalizer: Personalizer, principal: Principal, answer_id: str) -> tuple[int, Explanation]:
    """Whose answer this is, and how it came about; raises as :func:`give` does."""
    found = personalizer.explanations.find(answer_id)
    if found is not None:
        audit.touch(found[0])
        if principal.allows(found[0]):
            return found
    if principal.patients is not None:  # the same words for another patient's answer and for none
        raise ForeignPatientError(FOREIGN)
    raise UnknownAnswerError("no answer by this id is kept")


def giver_hash(settings: Settings, principal: Principal, user: str | None) -> int:
    """Who speaks, as a keyed hash: the client, and the person it names."""
    return settings.pseudonym("giver", principal.client, user or "")


def line(
    settings: Settings, answer: Explanation, *, subject: int, giver: int, by: Giver, kind: Kind,
    points: float | None, reason: str | None = None,
) -> Feedback:  # fmt: skip
    """One line of the reward log."""
    return Feedback(
        id=uuid.uuid4().hex,
        answer=answer.id,
        subject=subject,
        at=settings.now(),
        received=datetime.now(UTC),
        giver=giver,
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
    )


def note(said: Sequence[Feedback], counts: bool) -> None:
    """Count what was kept, and what went beyond the cap."""
    for one in said:
        metrics.FEEDBACK.labels(one.kind).inc()
    if not counts:
        metrics.CAP_HITS.labels("feedback").inc()


def _points(request: FeedbackRequest) -> float | None:
    if request.rating is not None:
        return float(request.rating)
    if request.preferred_over is not None:
        return PREFERRED
    return THUMBS[request.thumbs] if request.thumbs else None


def _kinds(request: FeedbackRequest) -> list[Kind]:
    """The lines that one request makes of an answer, those with a text first: the texts lie under the first line."""
    kinds: list[Kind] = []
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
