"""What the tools give beyond the endpoint's own types."""

from __future__ import annotations

from pydantic import BaseModel, Field


class PeerOutcome(BaseModel):
    """One thing known of the women most like her: a share in percent, or a mean, rounded."""

    name: str
    label: str
    value: float
    unit: str


class Peers(BaseModel):
    """An aggregate over at least k patients, never one of them; empty where fewer are alike."""

    count: int = Field(description="So many patients or a few more, in steps of five; 0 where fewer than k are alike.")
    at_least: int = Field(description="k: the fewest patients an aggregate may stand for.")
    outcomes: list[PeerOutcome]
