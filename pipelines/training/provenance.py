"""What this system trains a refiner with, and whether it can continue a policy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from feature_repo.store import services
from models.encoder import MiniLM
from models.refiner import checkpoint
from models.refiner.checkpoint import Provenance
from models.refiner.policy import Policy
from models.refiner.policy_config import VERSION
from models.templates import TEMPLATE_VERSION
from pipelines.params import Params

WARM_START = "warm_start"  # folder in the challenger's: the policy before RL, to be compared with

SEEDS = "seeds"  # folder in the challenger's: its training again with other seeds, ``1``, ``2``, …


def current_provenance() -> Provenance:
    """Return the versions of encoder, templates and features that are in use."""
    return Provenance(
        encoder=MiniLM.id,
        template=TEMPLATE_VERSION,
        feature_service=services.SERVICE,
        feature_schema=services.hash_schema(),
    )


def load_continuable(folder: Path, params: Params) -> Policy | None:
    """Load a policy of equal provenance, version, caps and slots; None where they differ."""
    try:
        policy = checkpoint.load_policy(folder)
    except checkpoint.OutdatedCheckpointError:
        return None
    config = policy.config
    same = checkpoint.read_description(folder)["origin"] == asdict(current_provenance()) and config.version == VERSION
    return policy if same and config.caps == params.caps and config.slots == params.slots else None
