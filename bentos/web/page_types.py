"""Requests and responses of the page's routes; times in days or weeks ago."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pmlm.api_types import MAX_PATIENT, Language, LLMReport, PersonalizeRequest

MAX_REPLY = 4000
MAX_SOURCES = 64


class PageRequest(BaseModel):
    """A body whose values are never repeated in an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PatientsRequest(PageRequest):
    """How many patients to list, those with the newest entries first."""

    limit: int = Field(default=60, ge=1, le=200)
    language: Language = "en"


class PatientEntry(BaseModel):
    """One patient of the list: a pseudonym, and just enough to recognise them."""

    reference: str
    pregnancy: str
    age: str | None
    news: str


class PatientList(BaseModel):
    """The clinic and the patients that this principal may choose; ``more``: the list was cut."""

    clinic: str
    synthetic: bool
    llm: str
    embedded: bool
    restates: bool
    patients: list[PatientEntry]
    more: bool


class RecordRequest(PageRequest):
    """One patient's trajectory and peers."""

    patient: Annotated[str, StringConstraints(max_length=MAX_PATIENT, min_length=1)]
    language: Language = "en"


class Point(BaseModel):
    """One value, ``days`` before the clinic's now."""

    days: float
    value: float


class Band(BaseModel):
    """The patient's usual range: mean ± 2 SD of the two years before the latest value."""

    mean: float
    low: float
    high: float


class SignalChange(BaseModel):
    """The latest value against the patient's own past; ``z`` is the score of a new level."""

    direction: str
    difference: float
    days: int
    z: float
    outside: bool


class SignalTrajectory(BaseModel):
    """One signal over two years, oldest value first."""

    name: str
    label: str
    unit: str
    decimals: int
    points: list[Point]
    band: Band | None
    change: SignalChange | None


class PeerFigure(BaseModel):
    """One aggregate over at least ``k`` patients."""

    name: str
    label: str
    unit: str
    value: float


class PeerSummary(BaseModel):
    """Figures of the most similar patients, ``count`` or a few more; 0 below ``k``.

    ``unstated`` are the outcomes for which they predict no better than the cohort.
    """

    count: int
    k: int
    outcomes: list[PeerFigure]
    unstated: list[str]


BeliefName = Literal[
    "pregnancy", "dating", "allergies", "conditions", "medicines", "signals", "suspected", "not_current", "unmapped"
]


class Belief(BaseModel):
    """One fact in an entry's own words; ``fact`` is the key to call it wrong by, null where it is disputed."""

    text: str
    fact: str | None


class Beliefs(BaseModel):
    """What is believed of a patient, by the lists of ``pmlm patient``."""

    name: BeliefName
    lines: list[Belief]


class PatientRecord(BaseModel):
    """What the page draws of a patient."""

    pregnancy: str
    beliefs: list[Beliefs]
    trajectories: list[SignalTrajectory]
    peers: PeerSummary


class EventsRequest(RecordRequest):
    """The sources of a sentence: hashes of source lines, or names of several."""

    sources: Annotated[
        list[Annotated[str, StringConstraints(max_length=100)]], Field(min_length=1, max_length=MAX_SOURCES)
    ]


class EvidenceEvent(BaseModel):
    """One event behind a sentence. ``week`` is of the current pregnancy, null outside of it."""

    what: str
    kind: str
    value: str | None
    ago: str | None
    week: int | None


class Sources(BaseModel):
    """The events behind a sentence; ``summaries`` are other sources (``rules:safety``, ``peers:n=20``)."""

    events: list[EvidenceEvent]
    summaries: list[str]


class Choice(BaseModel):
    """One free candidate: initial rank, place in the refined prompt, probability.

    ``probability`` is of a chosen sentence when it was chosen, of another the highest it ever had; null under a rule.
    """

    key: str
    initial: int
    chosen: int | None
    tokens: int
    probability: float | None


class Choices(BaseModel):
    """Every free candidate in the initial order; probabilities are null under a rule."""

    refiner: str
    choices: list[Choice]
    styles: dict[str, float] | None
    stop: float | None


class PlainAnswer(BaseModel):
    """The same model's answer without the record, checked all the same."""

    prompt: str
    answer: str
    llm: LLMReport


class AnsweredQuestions(BaseModel):
    """Questions of the patient's own that a clinician has answered, the newest first."""

    questions: list[str]


PromptName = Literal["refined", "initial", "nearest", "none"]
#: The refined prompt, the initial one, as many facts by nearness to the question, the pinned facts alone.
PROMPTS: tuple[PromptName, ...] = ("refined", "initial", "nearest", "none")


class ReplyFact(BaseModel):
    """A fact of the record, by key."""

    key: str
    text: str


class WrittenSentence(BaseModel):
    """A sentence that a clinician wrote, the fact behind it, and the prompts that carried this fact."""

    text: str
    fact: ReplyFact | None
    carried: list[PromptName]


class ClinicianReply(BaseModel):
    """What a clinician wrote to this question of the patient's own; no sentences where nobody has.

    ``facts`` counts the different facts that it rests on, ``carried`` those of them in each prompt. ``held_out``: no
    reply to this patient was trained on.
    """

    sentences: list[WrittenSentence]
    ago: str | None
    held_out: bool
    facts: int
    carried: dict[PromptName, int]


class EffectsRequest(PersonalizeRequest):
    """The reply whose likelihood is measured: a clinician's own, or the answer shown."""

    reply: Annotated[str, StringConstraints(max_length=MAX_REPLY, min_length=1)]


class Effect(BaseModel):
    """What one sentence does to the reply.

    ``gain`` is the reply's mean log-probability with the sentence less without it, nats per token; ``net`` the same
    less the price of its tokens, which is what the reward counts.
    """

    key: str
    gain: float
    net: float


class Effects(BaseModel):
    """Leave-one-out and add-one effects of sentences, and scores of whole prompts."""

    scorer: str
    price: float
    kept: list[Effect]
    left_out: list[Effect]
    refined: float
    initial: float
    pinned_only: float
    unmeasured: int
