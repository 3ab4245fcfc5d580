"""Save and load a refiner's folder; its id is the hash of description and weights.

    id = "refiner-" + SHA-256(refiner.json without id, policy.safetensors)[:12 hex digits]

``refiner.json`` holds kind, caps, sizes and provenance (JSON key ``origin``); ``policy.safetensors`` a policy's weights
without the frozen identity and the feature table, or a gain model's arrays; ``README.md`` the model card. Nothing in it
is executed when it is loaded, and no text of a record is in it: texts are hashes, kinds of question are vectors.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as parse_weights
from safetensors.torch import save as weights_to_bytes

from models.encoder import Encoder
from models.refiner.baselines import RankingRefiner
from models.refiner.gain_regressors import FixedGainModel, GainModel, GainRefiner, RidgeGainModel, TableGainModel
from models.refiner.inference import PolicyRefiner
from models.refiner.interface import Caps, Refiner
from models.refiner.policy import Policy
from models.refiner.policy_config import VERSION, PolicyConfig

DESCRIPTION, WEIGHTS, CARD = "refiner.json", "policy.safetensors", "README.md"
IDENTITY_WEIGHT = "lm_head.weight"


class CheckpointError(ValueError):
    """A refiner's folder is missing, incomplete, altered or of an unknown kind."""


class OutdatedCheckpointError(CheckpointError):
    """A refiner whose weights this version cannot read: neither served nor continued."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a refiner was trained with; training continues only from equal provenance.

    ``encoder`` names the sentence encoder, ``template`` the version of the prompt templates, ``feature_service`` the
    Feast service of its segments, ``feature_schema`` the hash of that service's schema.
    """

    encoder: str
    template: str
    feature_service: str
    feature_schema: str


def save_policy(folder: Path, policy: Policy, provenance: Provenance, card: str = "") -> str:
    """Write a policy into ``folder`` (created if absent); return its id."""
    config = policy.config
    description = {
        "kind": "policy",
        "version": config.version,
        "caps": asdict(config.caps),
        "slots": config.slots,
        "embedding_size": config.embedding_size,
        "hidden_size": config.hidden_size,
        "origin": asdict(provenance),
    }
    weights = weights_to_bytes(
        {name: value.contiguous() for name, value in sorted(policy.state_dict().items()) if name != IDENTITY_WEIGHT}
    )
    return _write_checkpoint(folder, description, weights, card)


def save_ranking(folder: Path, caps: Caps, provenance: Provenance) -> str:
    """Write the ranking refiner into ``folder``; return its id, ``ranking``."""
    description = {"id": RankingRefiner.id, "kind": "ranking", "caps": asdict(caps), "origin": asdict(provenance)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, sort_keys=True) + "\n")
    (folder / CARD).write_text(
        "# Ranking\n\nThe head of the initial prompt's order, cut to the caps in `refiner.json`. It learns nothing.\n"
    )
    return RankingRefiner.id


def save_gain_refiner(folder: Path, refiner: GainRefiner, provenance: Provenance, card: str = "") -> str:
    """Write a refiner by predicted gains into ``folder``; return its id."""
    exported = _export_gain(refiner.gain)
    weights = weights_to_bytes({name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in exported.arrays.items()})
    description = {
        "kind": refiner.gain.kind,
        "caps": asdict(refiner.caps),
        "style": refiner.style,
        "gains": exported.tables,
        "origin": asdict(provenance),
    }
    return _write_checkpoint(folder, description, weights, card)


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``refiner.json``; raise CheckpointError where it is missing."""
    path = folder / DESCRIPTION
    if not path.exists():
        raise CheckpointError(f"no refiner in {folder}: {DESCRIPTION} is missing")
    return dict(json.loads(path.read_text()))


def load_refiner(folder: Path, encoder: Encoder) -> Refiner:
    """Load the refiner in ``folder``; raise CheckpointError where its hash does not match."""
    description = read_description(folder)
    if description["kind"] == "ranking":
        return RankingRefiner(Caps(**description["caps"]))
    if description["kind"] != "policy":
        return _load_gain_refiner(folder, encoder)
    return PolicyRefiner(load_policy(folder), encoder, description["id"])


def _load_gain_refiner(folder: Path, encoder: Encoder) -> GainRefiner:
    description, weights = _read_verified(folder)
    arrays = {name: value.numpy() for name, value in parse_weights(weights).items()}
    try:
        gain = _build_gain(description["kind"], GainParameters(arrays, description["gains"]), encoder)
    except KeyError as error:
        raise CheckpointError(f"the refiner in {folder} is of an unknown kind or incomplete: {error}") from error
    return GainRefiner(description["id"], Caps(**description["caps"]), description["style"], gain)


def load_policy(folder: Path) -> Policy:
    """Load the policy in ``folder`` in evaluation mode, its hash verified."""
    description = read_description(folder)
    if description["kind"] != "policy":
        raise CheckpointError(f"the refiner in {folder} is a {description['kind']}, not a policy")
    description, weights = _read_verified(folder)
    version = description.get("version", 1)
    if version > VERSION:
        raise OutdatedCheckpointError(f"the policy in {folder} is of version {version}; this software reads {VERSION}")
    caps = description["caps"]
    config = PolicyConfig(
        slots=description["slots"],
        pick_cap=caps["picks"],
        token_cap=caps["tokens"],
        embedding_size=description["embedding_size"],
        hidden_size=description["hidden_size"],
        version=version,
    )
    policy = Policy(config)
    try:
        policy.load_state_dict(parse_weights(weights) | {IDENTITY_WEIGHT: torch.eye(config.vocab_size)})
    except RuntimeError:
        raise OutdatedCheckpointError(
            f"the policy in {folder} was trained by a version with other segment features"
        ) from None
    return policy.eval()


def _write_checkpoint(folder: Path, description: dict[str, Any], weights: bytes, card: str) -> str:
    identity = _hash_refiner(description, weights)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / CARD).write_text(card.replace("{id}", identity))
    (folder / DESCRIPTION).write_text(json.dumps({"id": identity, **description}, indent=2, sort_keys=True) + "\n")
    return identity


def _read_verified(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Read description and weights; raise CheckpointError where their hash is not the id."""
    description = read_description(folder)
    identity = description.pop("id")
    if not (folder / WEIGHTS).exists():
        raise CheckpointError(f"the refiner in {folder} is incomplete: {WEIGHTS} is missing")
    weights = (folder / WEIGHTS).read_bytes()
    if _hash_refiner(description, weights) != identity:
        raise CheckpointError(f"the refiner in {folder} was altered: its hash is not the one in its name")
    return {"id": identity, **description}, weights


def _hash_refiner(description: dict[str, Any], weights: bytes) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    digest.update(weights)
    return f"refiner-{digest.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class GainParameters:
    """A gain model's parameters: ``arrays`` for safetensors, ``tables`` for JSON."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)


def _export_gain(gain: GainModel) -> GainParameters:
    """Export a gain model's parameters."""
    if isinstance(gain, FixedGainModel):
        return GainParameters(tables={"mean": dict(sorted(gain.mean.items()))})
    if isinstance(gain, TableGainModel):
        rows = [[*key, value] for key, value in sorted(gain.fine.items())]
        coarse = [[*key, value] for key, value in sorted(gain.coarse.items())]
        return GainParameters({"kinds": gain.kinds.astype(np.float64)}, {"fine": rows, "coarse": coarse})
    if isinstance(gain, RidgeGainModel):
        return GainParameters(
            {"weights": gain.weights, "centre": gain.centre, "scale": gain.scale}, {"bias": gain.bias}
        )
    raise TypeError(f"a {type(gain).__name__} cannot be saved")


def _build_gain(kind: str, parameters: GainParameters, encoder: Encoder) -> GainModel:
    """Rebuild a gain model; KeyError where its kind is unknown or a parameter is missing."""
    arrays, tables = parameters.arrays, parameters.tables
    if kind == FixedGainModel.kind:
        return FixedGainModel(dict(tables["mean"]))
    if kind == TableGainModel.kind:
        fine = {(int(kind), key, wording): gain for kind, key, wording, gain in tables["fine"]}
        coarse = {(int(kind), key): gain for kind, key, gain in tables["coarse"]}
        return TableGainModel(arrays["kinds"], fine, coarse, encoder)
    if kind == RidgeGainModel.kind:
        return RidgeGainModel(arrays["weights"], float(tables["bias"]), arrays["centre"], arrays["scale"], encoder)
    raise KeyError(kind)
