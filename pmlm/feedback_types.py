"""Types of ``POST /feedback``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.feedback import DraftOutcome, Giver
from pmlm.api_types import MAX_PATIENT, MAX_QUESTION, PLACEHOLDER, readable

MAX_EDIT = 8000
MAX_COMMENT = 2000
MAX_SENTENCES = 40

AnswerId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class SentenceOutcome(BaseModel, extra="forbid"):
    """What a clinician did with one sentence of a draft."""

    sentence: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")] = Field(
        description="The `id` of the sentence."
    )
    outcome: DraftOutcome


class FeedbackRequest(BaseModel):
    """What someone says of an answer: at least one of rating, thumbs, preferred_over, edit, comment, draft."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {"answer_id": "0f8e3c5a9d1b4e6f8a7c2b3d4e5f6071", "rating": 4},
                {"answer_id": "0f8e3c5a9d1b4e6f8a7c2b3d4e5f6071", "thumbs": "down", "comment": "Too long for me."},
            ]
        },
    )

    answer_id: AnswerId = Field(description="The `id` of the response that is spoken of.")
    by: Giver = Field(
        default="patient", description="Whose opinion this is; only a patient's own shapes their answers."
    )
    user: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="An opaque id of the person, where many share a token. Kept as a keyed hash only; "
        "without effect in a token bound to patients.",
    )
    rating: int | None = Field(default=None, ge=1, le=5)
    thumbs: Literal["up", "down"] | None = None
    preferred_over: AnswerId | None = Field(
        default=None, description="The id of another answer to the same patient, which this one is better than."
    )
    edit: Annotated[str, StringConstraints(max_length=MAX_EDIT), AfterValidator(readable)] | None = Field(
        default=None, description="The answer as the clinician would have given it."
    )
    question: Annotated[str, StringConstraints(max_length=MAX_QUESTION), AfterValidator(readable)] | None = Field(
        default=None, description="With an edit: the question that was answered, word for word."
    )
    comment: Annotated[str, StringConstraints(max_length=MAX_COMMENT), AfterValidator(readable)] | None = None
    draft: list[SentenceOutcome] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_SENTENCES,
        description="Of a draft: which sentences the clinician accepted, edited or rejected. With an `edit`, the reply "
        "as it was sent, the next night learns from its facts too.",
    )

    @model_validator(mode="after")
    def _says_something_once(self) -> FeedbackRequest:
        points = [name for name in ("rating", "thumbs", "preferred_over") if getattr(self, name) is not None]
        if len(points) > 1:
            raise ValueError(f"{points[0]} and {points[1]} say the same thing twice: give one")
        if not points and self.edit is None and self.comment is None and self.draft is None:
            raise ValueError("give a rating, thumbs, preferred_over, edit, comment or draft")
        if self.draft is not None and self.by != "clinician":
            raise ValueError("what became of a draft's sentences is by a clinician")
        if self.draft is not None and len({one.sentence for one in self.draft}) < len(self.draft):
            raise ValueError("draft names a sentence twice")
        if self.edit is not None and (self.by != "clinician" or self.question is None):
            raise ValueError("an edit is by a clinician, and comes with the question")
        if self.preferred_over == self.answer_id:
            raise ValueError("preferred_over must name another answer")
        return self


class DisputeRequest(BaseModel):
    """A single fact that a clinician calls wrong."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"patient": PLACEHOLDER, "fact": "condition:SNOMED//38341003"}]},
    )

    patient: Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATIENT)]
    fact: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        description="The fact's key, as the page's record names it: a list and a code, `signal:` and a signal's name, "
        "`dating` or `pregnancy`."
    )
    correct: Annotated[str, StringConstraints(max_length=MAX_COMMENT), AfterValidator(readable)] | None = Field(
        default=None, description="What would be right, in the clinician's words; de-identified by the next night."
    )
    user: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, description="An opaque id of the person, where many share a token. Stored as a keyed hash only."
    )


class DisputeReceipt(BaseModel):
    """That a dispute was recorded; the next night reads it."""

    id: str
    fact: str
    stays: bool = Field(description="True for an allergy, which no dispute removes: correct it in the record.")


class FeedbackReceipt(BaseModel):
    """That feedback was recorded, and whether it counts; beyond the cap it teaches nothing."""

    id: str
    counts: bool = Field(description="False where this giver has spoken of enough answers to this patient today.")
