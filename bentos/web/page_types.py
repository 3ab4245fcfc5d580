"""What the page asks of its own routes and what they answer. Dates never appear: everything is days or weeks ago."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pmlm.api_types import MAX_PATIENT, Language, LLMReport, PersonalizeRequest

MAX_REPLY = 4000
MAX_SOURCES = 64


class Asked(BaseModel):
    """A body of which values are never repeated in an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PatientsAsked(Asked):
    """How many patients to list, those with the newest entries first."""

    limit: int = Field(default=60, ge=1, le=200)
    language: Language = "en"


class Listed(BaseModel):
    """One patient as the page names her: a pseudonym and no more of her than finds her again."""

    reference: str
    pregnancy: str
    age: str | None
    news: str


class Patients(BaseModel):
    """The clinic and who of it this principal may choose; ``more`` where the list was cut."""

    clinic: str
    synthetic: bool
    llm: str
    embedded: bool
    patients: list[Listed]
    more: bool


class RecordAsked(Asked):
    """One patient's trajectory and peers."""

    patient: Annotated[str, StringConstraints(max_length=MAX_PATIENT, min_length=1)]
    language: Language = "en"


class Point(BaseModel):
    """One value, ``days`` before the clinic's now."""

    days: float
    value: float


class Band(BaseModel):
    """Her own usual range: mean ± 2 standard deviations of the two years before the latest value."""

    mean: float
    low: float
    high: float


class Moved(BaseModel):
    """The latest value against her own past; ``z`` in own standard deviations."""

    direction: str
    difference: float
    days: int
    z: float
    outside: bool


class Trajectory(BaseModel):
    """One signal over two years, oldest value first."""

    name: str
    label: str
    unit: str
    decimals: int
    points: list[Point]
    band: Band | None
    change: Moved | None


class PeerOutcome(BaseModel):
    """One aggregate over at least ``k`` women."""

    name: str
    label: str
    unit: str
    value: float


class Peers(BaseModel):
    """What is known of the women most like her, ``count`` or a few more; 0 and nothing where fewer than ``k`` are."""

    count: int
    k: int
    outcomes: list[PeerOutcome]


class Record(BaseModel):
    """What the page draws of a patient."""

    pregnancy: str
    trajectories: list[Trajectory]
    peers: Peers


class EventsAsked(RecordAsked):
    """Which sources of a sentence to show: hashes of source lines, or what stands for several of them."""

    sources: Annotated[
        list[Annotated[str, StringConstraints(max_length=100)]], Field(min_length=1, max_length=MAX_SOURCES)
    ]


class SourceEvent(BaseModel):
    """One event behind a sentence. ``week`` is of the current pregnancy, null outside of it."""

    what: str
    kind: str
    value: str | None
    ago: str | None
    week: int | None


class Sources(BaseModel):
    """The events behind a sentence; ``summary`` names a source that is no event (``rules:safety``, ``peers:n=20``)."""

    events: list[SourceEvent]
    summaries: list[str]


class Choice(BaseModel):
    """One free candidate: its rank in the initial prompt, its place in the refined one, how the policy weighed it.

    ``probability`` is of a chosen sentence when it was chosen, of another the highest it ever had; null under a rule.
    """

    key: str
    initial: int
    chosen: int | None
    tokens: int
    probability: float | None


class Choices(BaseModel):
    """Every free candidate in the initial order, and the probability of ending there; all null under a rule."""

    refiner: str
    choices: list[Choice]
    styles: dict[str, float] | None
    stop: float | None


class PlainAnswer(BaseModel):
    """The same model's answer without the record; withheld like any other if the check objects."""

    prompt: str
    answer: str
    llm: LLMReport


class EffectsAsked(PersonalizeRequest):
    """The reply whose likelihood is measured: a clinician's own, or the answer shown."""

    reply: Annotated[str, StringConstraints(max_length=MAX_REPLY, min_length=1)]


class Effect(BaseModel):
    """What one sentence does to the reply.

    ``gain`` is the reply's mean log-probability with the sentence less without it, nats a token; ``net`` the same
    less the price of its tokens, which is what the reward counts.
    """

    key: str
    gain: float
    net: float


class Effects(BaseModel):
    """Leave-one-out effects of kept sentences, add-one effects of left-out ones, and the whole prompts beside."""

    scorer: str
    price: float
    kept: list[Effect]
    left_out: list[Effect]
    refined: float
    initial: float
    pinned_only: float
    unmeasured: int
