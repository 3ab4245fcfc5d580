"""Communication: a patient's question, a clinician's reply."""

from __future__ import annotations

from models.vocabulary import QUESTION_CODE, REPLY_CODE
from pipelines.records.extract.facts import RETRACTED, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.read.coding import MAX_MESSAGE, clean_text
from pipelines.records.read.fhir_time import read_time
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource

_NOT_SENT = (RETRACTED, "not-done", "preparation", "on-hold", "stopped")


def extract_communication(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The de-identified message: the patient's question, or another's reply to a message."""
    sent = context.check_past(read_time(resource, "sent"), "sent")
    parts = [p["contentString"] for p in resource.get("payload", []) if "contentString" in p]
    text = clean_text(" ".join(parts), MAX_MESSAGE)
    if resource["status"] in _NOT_SENT or not text:
        return ExtractedFacts(facets=("",))
    message = next(filter(None, (read_reference(r) for r in resource.get("inResponseTo", []))), None)
    parent = ("Communication", message[1]) if message else None
    row = {"length": len(text), "start": sent}
    if _is_from_patient(resource):
        fact = Fact("question", QUESTION_CODE, sent, text=context.scrub_message(text), known=sent, parent=parent)
    elif parent:
        fact = Fact("reply", REPLY_CODE, sent, text=context.scrub_message(text), known=sent, parent=parent)
    else:
        return ExtractedFacts(facets=("",))
    return ExtractedFacts([fact], [("messages", row)])


def _is_from_patient(resource: Resource) -> bool:
    """Whether the sender is the patient: a Patient by type, or the message's subject."""
    sender = read_reference(resource.get("sender"))
    subject = read_reference(resource.get("subject"))
    return sender is not None and (sender[0] == "Patient" or (subject is not None and sender[1] == subject[1]))
