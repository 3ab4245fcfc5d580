"""What a refiner of this system is made with: its caps from the parameters, its versions from the code."""

from __future__ import annotations

from typing import Any

from feature_repo.store import services
from models.encoder import MiniLM
from models.refiner.checkpoint import Provenance
from models.refiner.interface import Caps
from models.templates import TEMPLATE_VERSION

WARM_START = "warm_start"  # the challenger's folder that keeps it as it was before RL, to be compared with
PINNED_SLOTS = 3  # safety, pregnancy, allergies: read for context, never picked


def caps(params: dict[str, dict[str, Any]]) -> Caps:
    return Caps(picks=params["train"]["pick_cap"], tokens=params["train"]["token_cap"])


def slots(params: dict[str, dict[str, Any]]) -> int:
    """How many segments the policy reads: the pinned ones and the head of the initial ranking."""
    return int(params["episodes"]["free_segments"]) + PINNED_SLOTS


def current_provenance() -> Provenance:
    return Provenance(
        encoder=MiniLM.id,
        template=TEMPLATE_VERSION,
        feature_service=services.SERVICE,
        feature_schema=services.hash_schema(),
    )
