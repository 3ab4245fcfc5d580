"""Communication: a patient's question, a clinician's reply."""

from __future__ import annotations

from models.vocabulary import QUESTION_CODE, REPLY_CODE
from pipelines.records.extract.facts import RETRACTED, ExtractedFacts, ExtractionContext, Fact, read_time
from pipelines.records.read.coding import MAX_MESSAGE, clean_text
from pipelines.records.read.identity import read_reference
from pipelines.records.read.raw_resource import Resource

_NOT_SENT = (RETRACTED, "not-done", "preparation", "stopped")


def extract_communication(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The message's text, de-identified: a question from the patient, a reply to a message from anyone else."""
    sent = context.past(read_time(resource, "sent"), "sent")
    parts = [p["contentString"] for p in resource.get("payload", []) if "contentString" in p]
    text = clean_text(" ".join(parts), MAX_MESSAGE)
    if resource["status"] in _NOT_SENT or not text:
        return ExtractedFacts(facets=("",))
    answered = next(filter(None, (read_reference(r) for r in resource.get("inResponseTo", []))), None)
    answers = ("Communication", answered[1]) if answered else None
    row = {"length": len(text), "start": sent}
    if _is_from_patient(resource):
        fact = Fact("question", QUESTION_CODE, sent, text=context.scrub(text), known=sent, answers=answers)
    elif answers:
        fact = Fact("reply", REPLY_CODE, sent, text=context.scrub(text), known=sent, answers=answers)
    else:
        return ExtractedFacts(facets=("",))
    return ExtractedFacts([fact], [("messages", row)])


def _is_from_patient(resource: Resource) -> bool:
    """Whether the sender is the patient herself: by type, or by being the subject where the type is not said."""
    sender = read_reference(resource.get("sender"))
    subject = read_reference(resource.get("subject"))
    return sender is not None and (sender[0] == "Patient" or (subject is not None and sender[1] == subject[1]))
