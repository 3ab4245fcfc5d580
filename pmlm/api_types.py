"""Types of the endpoint's requests and responses.

A request that breaks a rule here is answered 400 with the field named; its values are never repeated, neither
in the answer nor in a log (``hide_input_in_errors``).
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from models.schema import SegmentKind

MAX_QUESTION = 4000
MAX_PATIENT = 200
#: In the endpoint's own documents: a bento names no patient, so that erasing one leaves it as it is.
PLACEHOLDER_ID = "your-patient-id"
PLACEHOLDER = f"Patient/{PLACEHOLDER_ID}"

Language = Literal["en", "zh"]


def readable(text: str) -> str:
    """Text a person could have typed: with a letter or digit, without control characters."""
    if any(unicodedata.category(c) in ("Cc", "Cs", "Cn") and c not in "\n\r\t" for c in text):
        raise ValueError("must be text without control characters")
    if not any(c.isalnum() for c in text):
        raise ValueError("must not be empty")
    return text.strip()


class PersonalizeRequest(BaseModel):
    """One patient's question."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    patient: Annotated[str, StringConstraints(max_length=MAX_PATIENT), AfterValidator(readable)] = Field(
        description="A FHIR patient reference (`Patient/x`, `urn:uuid:x`, `x`) or `subject:<number>`.",
        examples=[PLACEHOLDER],
    )
    question: Annotated[str, StringConstraints(max_length=MAX_QUESTION), AfterValidator(readable)] = Field(
        description="The question in the patient's own words.",
        examples=["Is it normal to feel this tired?"],
    )
    language: Language | None = Field(
        default=None, description="Language of the prompt and the texts; by default the question's, else the patient's."
    )


class PromptSegment(BaseModel):
    """One candidate sentence and its fate; ``sources`` are hashes of records or an aggregate.

    ``donors`` and ``share`` come from replies to like questions of other patients of whom the fact was known too.
    """

    key: str
    kind: SegmentKind
    text: str
    pinned: bool
    kept: bool
    sources: list[str]
    position: int | None = Field(description="Rank in the refiner's order of choice, null if pinned or dropped.")
    donors: int = Field(
        default=0,
        description="Other patients of whom this was known when they asked a like question, rounded down to a multiple "
        "of 5; 0, or at least k (10).",
    )
    share: float | None = Field(
        default=None,
        description="Share of those patients whose clinician took the fact up in the reply, as estimated from replies "
        "and rounded to 0.05; null without donors.",
    )
    guidance: str | None = Field(
        default=None,
        description="The published guidance that requires this fact for the question, so that it stays whatever "
        "replies teach; null where it is free to go.",
    )


class RedFlag(BaseModel):
    """A warning sign in the question, why it is one, and the public source that says so."""

    sign: str
    label: Literal["emergency", "urgent", "routine"]
    why: str
    source: str


class Program(BaseModel):
    """The refiner's edit program: free segments in order of choice, and its natural log-probability."""

    picks: list[str]
    style: str
    log_prob: float


class Versions(BaseModel):
    """The versions behind an answer; ``as_of`` is the clinic's clock when it was made."""

    release: str
    bento: str
    refiner: str
    template: str
    feature_service: str
    feature_schema: str
    encoder: str
    as_of: str
    ranker: str | None = Field(
        default=None,
        description="What ordered the initial prompt: the recommender learnt from the clinic's replies; null where "
        "there were too few, and nearness to the question did, with what guidance names.",
    )


class PersonalizeResponse(BaseModel):
    """The refined hard prompt and everything that explains it."""

    id: str = Field(description="Names this interaction in the log.")
    prompt: str
    initial_prompt: str
    segments: list[PromptSegment]
    red_flags: list[RedFlag]
    escalation: str | None = Field(description="What to tell the patient first, where a red flag was found.")
    style: str
    language: Language
    program: Program
    versions: Versions
    personalization: Literal["full", "none"] = Field(
        description="`none` where nothing but the pinned and general sentences stands in the prompt."
    )
    degraded: Literal["features", "record", "features,record"] | None = Field(
        default=None,
        description="`features` while the feature store cannot be read: her allergies and pregnancy come from the "
        "event log, and nothing else of her record is in the prompt. `record`: a safety message that could not be "
        "recorded; there is no explanation of it.",
    )


class LLMReport(BaseModel):
    """Which language model answered, how long it took, and what was wrong.

    ``embedded``: it is what PMLM brings along, the embedded answer or the small model.
    """

    model: str
    embedded: bool
    seconds: float
    error: str | None = None
    asked: bool = Field(
        default=True,
        description="False where no model was asked: in an emergency, when the escalation is the whole answer, and for "
        "the embedded answer.",
    )
    restated: bool = Field(
        default=False, description="The answer states facts of the prompt in fixed sentences; no model wrote it."
    )
    findings: list[str] = Field(default_factory=list, description="What the check of its answer objected to.")


class AnswerResponse(PersonalizeResponse):
    """The same with the language model's answer, after the escalation of a red flag."""

    answer: str
    llm: LLMReport
    disclaimer: str
    escalated: bool


class MovedSegment(BaseModel):
    """A chosen sentence that the refiner moved: its place among the chosen ones, from 0."""

    key: str
    initial: int
    refined: int


class Explanation(PersonalizeResponse):
    """How an answer came about, without any message and the language model's words."""

    endpoint: str = Field(description="The surface it was asked through.")
    dropped: list[str] = Field(description="Keys of the sentences that the refiner left out.")
    moved: list[MovedSegment]
    llm: LLMReport | None = Field(description="Null where only a prompt was asked for.")


class TimelinePoint(BaseModel):
    """One value; ``gestational_week`` is of the latest dated pregnancy then, null outside of it."""

    days_ago: int
    gestational_week: int | None
    value: float
    z: float | None = Field(
        description="Score of a new level that ends with this value, among those of two years; null for a first value, "
        "a bound or a preliminary one."
    )
    outside: bool = Field(description="Whether the value had left her own band.")


class TimelineSignal(BaseModel):
    """One signal, oldest value first; ``direction`` and ``changed`` tell of the latest value."""

    name: str
    label: str
    unit: str
    points: list[TimelinePoint]
    direction: Literal["rise", "fall", "steady"] | None
    changed: bool


class Timeline(BaseModel):
    """A patient's signals over time, in days ago and weeks of pregnancy, without identifiers."""

    pregnant: bool | None
    gestational_week: int | None
    postpartum_weeks: int | None
    signals: list[TimelineSignal]


class Health(BaseModel):
    """What is served: the release, its refiner, its features and whether they can be read."""

    release: str
    bento: str
    night: str
    refiner: str
    feature_service: str
    feature_schema: str
    features: Literal["readable", "unreadable"] = Field(
        description="Whether the feature store answers; while it does not, answers are degraded."
    )


#: Media type of a :class:`Problem`.
PROBLEM = "application/problem+json"


class Problem(BaseModel):
    """An error in the shape of RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
