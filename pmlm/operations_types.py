"""Types of the operations page: figures of nights, champions, features, answers and alerts.

The night and the hourly monitor write them to ``monitoring/operations.json``; ``GET /ops/figures`` and ``pmlm ops``
show the same. A number of patients below k, and whatever is of fewer than k patients, is None. Every line names the
command that leads to its report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from pmlm.settings import Settings


class StageLine(BaseModel):
    """One stage of a night."""

    stage: str
    status: str
    seconds: float
    rows_in: int | None = Field(description="None: fewer than k.")
    rows_out: int | None = Field(description="None: fewer than k.")
    quarantined: int


class NightLine(BaseModel):
    """One night: its stages in the order in which they ended, and its resources.

    ``taken in``: its drop is ingested, and a later night has finished for both.
    """

    night: str
    state: Literal["finished", "taken in", "not finished"]
    seconds: float
    read: int
    quarantined: int
    stages: list[StageLine]
    command: str


class GateLine(BaseModel):
    """One judgement of the gate: the paired difference in nats and its interval; None with fewer than k patients."""

    night: str
    decision: str
    challenger: str | None
    champion: str | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    command: str


class ChampionLine(BaseModel):
    """One change of the champion; ``by`` is ``gate`` or ``person``: who exactly stands in the history."""

    at: str
    night: str
    action: str
    by: Literal["gate", "person"]
    version: str
    refiner: str
    command: str


class DriftLine(BaseModel):
    """A night's verdict by family, and how many of the compared columns drifted."""

    night: str
    verdicts: dict[str, str]
    drifted: dict[str, int]
    command: str


class FeatureGroupLine(BaseModel):
    """A feature group: the newest night that wrote rows of it, and how many days before the last night that was."""

    group: str
    night: str
    age_days: int
    command: str


class NullRateLine(BaseModel):
    """The share of rows without a value of a feature, over the drift window before the last night."""

    feature: str
    share: float
    command: str


class TrafficLine(BaseModel):
    """One day (UTC) of the endpoint; all but the day is None where fewer than k patients asked."""

    day: str
    questions: int | None = None
    seconds_p50: float | None = Field(default=None, description="The median hour's.")
    seconds_p95: float | None = Field(default=None, description="The worst hour's.")
    shares: dict[str, float] = {}
    words: int | None = Field(default=None, description="Of the language model's answers.")
    command: str


class FeedbackLine(BaseModel):
    """Feedback that a night took in; None: fewer than k."""

    night: str
    counts: dict[str, int | None]
    command: str


class TokensLine(BaseModel):
    """What a prompt costs: tokens of the refined prompt's free sentences, on held-out questions."""

    night: str
    refined: float
    command: str


class AlertLine(BaseModel):
    """An open alert: raised for the last night or later, and its stage has not succeeded since."""

    at: str
    kind: str
    night: str
    text: str
    command: str


class Operations(BaseModel):
    """All figures of the page, oldest first."""

    clinic: str
    written_at: str
    k: int
    nights: list[NightLine] = []
    gate: list[GateLine] = []
    champions: list[ChampionLine] = []
    drift: list[DriftLine] = []
    features: list[FeatureGroupLine] = []
    null_rates: list[NullRateLine] = []
    traffic: list[TrafficLine] = []
    feedback: list[FeedbackLine] = []
    tokens: list[TokensLine] = []
    alerts: list[AlertLine] = []


def operations_path(settings: Settings) -> Path:
    """The file of the newest figures."""
    return settings.workspace / "monitoring" / "operations.json"


def read_operations(settings: Settings) -> Operations:
    """The newest figures as written; none where no night has written any."""
    path = operations_path(settings)
    if not path.exists():
        return Operations(clinic=settings.clinic, written_at="", k=settings.k_anonymity)
    return Operations.model_validate_json(path.read_bytes())
