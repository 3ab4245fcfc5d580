"""Types of ``POST /draft``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from pmlm.api_types import Language, RedFlag, Versions


class DraftFact(BaseModel):
    """A fact of the record behind a sentence; ``sources`` are hashes of records."""

    key: str
    text: str
    sources: list[str]


class DraftedSentence(BaseModel):
    """A sentence that the clinic has often written, with the record's own numbers."""

    id: str = Field(description="Names the sentence in feedback, the same for every patient.")
    text: str
    role: Literal["opening", "fact", "closing"]
    facts: list[DraftFact] = Field(description="The facts of this record that it speaks of; none for a general one.")
    donors: int = Field(description="How many patients have received it or one that says the same; rounded down.")
    probability: float = Field(description="Share of like replies to patients with these facts that had it, to 0.05.")


class DraftResponse(BaseModel):
    """A draft for the clinician, who accepts, edits or rejects each sentence; never for the patient."""

    id: str = Field(description="Names this draft in feedback.")
    escalation: str | None = Field(description="To be shown first, where the question has a red flag.")
    red_flags: list[RedFlag]
    sentences: list[DraftedSentence] = Field(description="In reading order; empty where there is no draft.")
    text: str = Field(description="The sentences as one text, without the escalation.")
    reason: str | None = Field(description="Why there is no draft.")
    withheld: dict[str, int] = Field(description="Sentences that did not pass the safety check, by its finding.")
    language: Language
    versions: Versions
