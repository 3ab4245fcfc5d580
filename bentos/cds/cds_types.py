"""CDS Hooks 2.0 on the wire: requests, cards, feedback.

Source: https://cds-hooks.hl7.org/2.0/. A request may hold more than we read (extensions, prefetched resources, an
access token to the client's FHIR server); that is ignored, and never stored. What is answered holds no null, no empty
list and no empty text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from pmlm.api_types import PLACEHOLDER_ID

LONGEST_SUMMARY = 139  # the specification: fewer than 140 characters
Indicator = Literal["info", "warning", "critical"]
Hook = Literal["patient-view", "order-select", "order-sign"]


def _bare(value: Any) -> Any:
    """An id as the specification has it; clients are met that send ``Patient/id``."""
    return value.removeprefix("Patient/") if isinstance(value, str) else value


FhirId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
PatientId = Annotated[FhirId, BeforeValidator(_bare)]


class _ClientModel(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class HookContext(_ClientModel):
    """The hook's context. ``selections`` and ``draftOrders`` come with the order hooks."""

    userId: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    patientId: PatientId
    encounterId: str | None = None
    selections: list[str] | None = None
    draftOrders: dict[str, Any] | None = None


class HookRequest(_ClientModel):
    """A call of a service."""

    model_config = ConfigDict(
        extra="ignore",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {
                "hook": "patient-view",
                "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
                "context": {"userId": "Practitioner/example", "patientId": PLACEHOLDER_ID},
            }
        },
    )

    hook: Hook
    hookInstance: UUID
    context: HookContext

    @model_validator(mode="after")
    def _has_what_its_hook_needs(self) -> HookRequest:
        if self.hook != "patient-view" and self.context.draftOrders is None:
            raise ValueError("context.draftOrders is missing")
        if self.hook == "order-select" and self.context.selections is None:
            raise ValueError("context.selections is missing")
        return self


class Coding(BaseModel):
    """A code, with the words to show."""

    system: str
    code: str
    display: str


class Source(BaseModel):
    """Who says so."""

    label: str
    url: str | None = None
    topic: Coding | None = None


class Action(BaseModel):
    """A change that the client may make."""

    type: Literal["create", "update", "delete"]
    description: str
    resourceId: str | None = None


class Suggestion(BaseModel):
    """A set of changes to choose with one click."""

    label: str
    uuid: UUID
    actions: list[Action] | None = None


class Card(BaseModel):
    """One piece of guidance. ``uuid`` is what feedback on it names."""

    uuid: UUID
    summary: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_SUMMARY)]
    detail: str | None = None
    indicator: Indicator
    source: Source
    suggestions: list[Suggestion] | None = None
    selectionBehavior: Literal["at-most-one", "any"] | None = None
    overrideReasons: list[Coding] | None = None


class Cards(BaseModel):
    """What a service answers; no card where there is nothing to say."""

    cards: list[Card]


class Service(BaseModel):
    """A service as discovery lists it."""

    hook: Hook
    title: str
    description: str
    id: str
    usageRequirements: str | None = None


class Discovery(BaseModel):
    """The services there are."""

    services: list[Service]


class OverrideReason(_ClientModel):
    """Why a card was not followed: one of its reasons, perhaps with a comment."""

    class Reason(_ClientModel):
        code: Annotated[str, StringConstraints(max_length=64)]
        system: str | None = None

    reason: Reason | None = None
    userComment: Annotated[str, StringConstraints(max_length=2000)] | None = None


class Accepted(_ClientModel):
    """A suggestion that was chosen."""

    id: UUID


class CardFeedback(_ClientModel):
    """What became of one card."""

    card: UUID
    outcome: Literal["accepted", "overridden"]
    outcomeTimestamp: datetime
    acceptedSuggestions: list[Accepted] | None = None
    overrideReason: OverrideReason | None = None

    @model_validator(mode="after")
    def _names_what_was_accepted(self) -> CardFeedback:
        if self.outcome == "accepted" and not self.acceptedSuggestions:
            raise ValueError("acceptedSuggestions is missing")
        return self


class FeedbackSent(_ClientModel):
    """What became of some cards."""

    feedback: Annotated[list[CardFeedback], Field(min_length=1, max_length=100)]
