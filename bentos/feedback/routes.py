"""``POST /feedback``, answered by the native app."""

from __future__ import annotations

from fastapi import APIRouter, Request

from bentos.auth.principal import Principal
from bentos.personalizer import current
from pmlm.feedback_types import FeedbackReceipt, FeedbackRequest

router = APIRouter()


@router.post("/feedback")
def feedback(request: Request, said: FeedbackRequest) -> FeedbackReceipt:
    """Keep a rating, a thumb, a preference, a clinician's edit or a comment; the next night learns from it."""
    from bentos.feedback.intake import give

    principal: Principal = request.state.principal
    return give(current.personalizer(), principal, said)
