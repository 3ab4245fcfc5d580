"""Record what became of cards, in the same reward log as all other feedback.

A card followed, or overridden for a reason, is a clinician's opinion of what they were shown: it is recorded with the
edit program behind the card, and is no preference of the patient's.
"""

from __future__ import annotations

from functools import partial

from bentos.auth.principal import Principal
from bentos.cds.card_texts import ACCEPTED, OVERRIDDEN, REASONS
from bentos.cds.cds_types import CardFeedback, FeedbackSent
from bentos.feedback import intake
from bentos.personalizer.personalizer import Personalizer
from pmlm.errors import ForeignPatientError, UnknownAnswerError

UNKNOWN = "no card by this id is kept"


def record_card_feedback(personalizer: Personalizer, principal: Principal, sent: FeedbackSent) -> None:
    """Record all or none: :class:`UnknownAnswerError` for a card this client may not see.

    :class:`AccessError` for a client that may not speak as a clinician.
    """
    try:
        found = [intake.find_answer(personalizer, principal, one.card.hex) for one in sent.feedback]
    except (UnknownAnswerError, ForeignPatientError):
        raise UnknownAnswerError(UNKNOWN) from None
    intake.require_clinician(principal)
    for one, (subject, answer) in zip(sent.feedback, found, strict=True):
        reason, comment = _reason(one)
        make = partial(intake.make_signal, personalizer.settings, principal, answer, subject=subject, user=None)
        signal = make(by="clinician", kind="card", points=_points(one, reason), reason=reason)
        counts = personalizer.feedback.count([signal])
        personalizer.feedback.append([signal], {"comment": comment} if comment and counts else {})
        intake.count_signals([signal], counts)


def _reason(one: CardFeedback) -> tuple[str | None, str | None]:
    """One of our own codes, or ``other`` for a client's; and what the clinician wrote."""
    if one.overrideReason is None:
        return None, None
    coded = one.overrideReason.reason
    code = None if coded is None else coded.code if coded.code in REASONS else "other"
    return code, one.overrideReason.userComment or None


def _points(one: CardFeedback, reason: str | None) -> float:
    if one.outcome == "accepted":
        return ACCEPTED
    return REASONS[reason][0] if reason in REASONS else OVERRIDDEN
