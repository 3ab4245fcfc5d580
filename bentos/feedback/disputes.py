"""Record that a clinician calls a single fact of a record wrong.

``<workspace>/feedback/disputes/<day>.jsonl`` has keys, codes and hashes and no text, mode 600. What the clinician would
have read instead waits in the quarantine, like every other text, until the night de-identifies it.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from bentos.auth import audit
from bentos.auth.principal import Principal
from bentos.feedback.intake import giver_hash, require_clinician
from bentos.personalizer.personalizer import Personalizer
from bentos.telemetry import metrics
from models.fact_disputes import Dispute
from models.patient.facts import list_facts
from models.patient.summary import summarize_patient
from pmlm.errors import UnknownFactError
from pmlm.feedback_types import DisputeReceipt, DisputeRequest


def record_dispute(personalizer: Personalizer, principal: Principal, request: DisputeRequest) -> DisputeReceipt:
    """Record a dispute of one fact.

    Raises as ``Personalizer.read_patient`` does, :class:`AccessError` for a token that may not speak as a clinician,
    and :class:`UnknownFactError` where no such fact is believed of the patient.
    """
    subject, row = personalizer.read_patient(principal, request.patient)
    audit.touch(subject)
    require_clinician(principal)
    settings = personalizer.settings
    as_of = settings.now()
    facts = {fact.key: fact for fact in list_facts(summarize_patient(row, as_of, settings.currency_rule))}
    fact = facts.get(request.fact)
    if fact is None:
        raise UnknownFactError("no such fact is believed of the patient")
    dispute = Dispute(
        id=uuid.uuid4().hex,
        subject=subject,
        at=as_of,
        received=datetime.now(UTC),
        giver=giver_hash(settings, principal, request.user),
        client=giver_hash(settings, principal, None),
        key=fact.key,
        codes=fact.codes,
        sources=fact.sources,
    )
    personalizer.feedback.append_dispute(dispute, request.correct)
    metrics.FEEDBACK.labels("dispute").inc()
    return DisputeReceipt(id=dispute.id, fact=fact.key, stays=fact.group == "allergy")
