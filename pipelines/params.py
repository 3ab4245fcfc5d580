"""The parameters of a night: the schema of ``params.yaml``, with the clinic's overrides applied.

``params.yaml`` gives every value; ``params:`` in ``clinic.yaml`` may override any of them. Keys are frozen, as DVC,
releases and clinics name them. ``docs/reference.py`` prints this schema.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.refiner.interface import Caps
from pipelines.splits import SplitParams
from pmlm.errors import SettingsError
from pmlm.settings import PROJECT, Settings

PINNED_SLOTS = 3  # safety, pregnancy, allergies: the policy reads them and cannot pick them
Method = Literal["grpo", "warm_start", "best_of_k", "fixed", "table", "regressor"]


def _field(unit: str, description: str, **rules: float) -> Any:
    """Declare a parameter by unit, meaning and range."""
    return Field(description=description, json_schema_extra={"unit": unit}, **rules)  # type: ignore[call-overload]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NightParams(_Section):
    """The night that runs; set in the workspace, not by a clinic."""

    date: str | None = _field("YYYYMMDD", "the night")
    drop: str | None = _field("path", "the drop that it reads")


class EpisodesParams(_Section):
    """Splits and sizes of the episodes."""

    gate_share: float = _field("share of patients", "patients of the gate split", ge=0, le=1)
    test_share: float = _field("share of patients", "patients of the locked test split", ge=0, le=1)
    time_quantile: float = _field(
        "quantile of question times", "training questions come before it, gate and test questions after it", ge=0, le=1
    )
    free_segments: int = _field("segments", "candidates that the policy reads: the head of the initial ranking", ge=0)
    most_train: int = _field("episodes", "training episodes of a night, at most", ge=0)
    most_held_out: int = _field("episodes", "episodes of the gate split, and of the test split, at most", ge=0)

    @property
    def split(self) -> SplitParams:
        """The shares and the quantile by which patients and questions are split."""
        return SplitParams(self.gate_share, self.test_share, self.time_quantile)


class TrajectoryParams(_Section):
    """Training of the trajectory model."""

    every_nights: int = _field("nights", "age at which the trajectory model is trained again", ge=0)
    epochs: int = _field("epochs", "passes over the training patients' days", ge=0)
    strangers: float = _field(
        "share of records", "growth of the share of records with unknown codes that starts a new training", ge=0
    )


class TrainParams(_Section):
    """Training of the refiner."""

    method: Method = _field("name", f"how a challenger is trained: {', '.join(get_args(Method))}")
    seed: int = _field("–", "random seed, to which the night is added", ge=0)
    seeds: int = _field("trainings", "trainings with different seeds, the first of which is the challenger", ge=1)
    pick_cap: int = _field("segments", "free segments in a refined prompt, at most", ge=0)
    token_cap: int = _field("tokens", "tokens of the free segments in a refined prompt, at most", ge=0)
    token_price: float = _field(
        "nats per token", "price of free segments; an idle sentence gains 0.0003, one behind the reply 0.005", ge=0
    )
    gain_evaluations: int = _field(
        "reward evaluations", "budget of newly measured gains a night; all labels are read off replies", ge=0
    )
    warm_epochs: int = _field("epochs", "warm start: passes over the training episodes, at least", ge=0)
    warm_steps: int = _field("steps", "warm start: optimizer steps, at least", ge=0)
    warm_learning_rate: float = _field("–", "warm start: peak learning rate", ge=0)
    grpo_steps: int = _field("steps", "GRPO after a warm start", ge=0)
    continued_epochs: int = _field(
        "epochs", "passes over tonight's labels of a night that continues from the champion", ge=0
    )
    continued_steps: int = _field("steps", "GRPO of a night that continues from the champion", ge=0)
    generations: int = _field("programs", "GRPO: programs per question (the group)", ge=1)
    batch: int = _field("programs", "GRPO: programs per step, a multiple of generations", ge=1)
    learning_rate: float = _field("–", "GRPO: learning rate", ge=0)
    samples: int = _field("programs", "best_of_k: programs per episode, with GRPO's number of reward evaluations", ge=1)
    distil_epochs: int = _field("epochs", "best_of_k: passes over the best programs", ge=0)
    distil_learning_rate: float = _field("–", "best_of_k: peak learning rate", ge=0)


class RetrainParams(_Section):
    """When a night trains; any one suffices."""

    new_episodes: int = _field("answered questions", "questions answered since the last training", ge=1)
    every_nights: int = _field("nights", "age of the last training", ge=1)


class GateParams(_Section):
    """When a challenger replaces the champion."""

    confidence: float = _field("probability", "level of the interval, spent over a champion's nights", gt=0, lt=1)
    bootstrap: int = _field("draws", "bootstrap draws of patients", ge=1)
    minimum_episodes: int = _field("episodes", "gate episodes that a decision needs", ge=0)
    minimum_patients: int = _field("patients", "gate patients that a decision needs", ge=0)


class DriftParams(_Section):
    """Drift verdicts."""

    window: int = _field("nights", "nights of reference", ge=1)
    minimum_rows: int = _field("rows", "values that a column needs on either side for a verdict", ge=0)
    alpha: float = _field("probability", "chance of a false alarm per family and night (Holm)", gt=0, lt=1)


class Params(_Section):
    """All sections of ``params.yaml``; ``model_dump`` gives the dict that is written."""

    night: NightParams
    episodes: EpisodesParams
    trajectory: TrajectoryParams
    train: TrainParams
    retrain: RetrainParams
    gate: GateParams
    drift: DriftParams

    @property
    def caps(self) -> Caps:
        """The caps of refined prompts."""
        return Caps(picks=self.train.pick_cap, tokens=self.train.token_cap)

    @property
    def slots(self) -> int:
        """Segments that the policy reads: pinned ones and the head of the initial ranking."""
        return self.episodes.free_segments + PINNED_SLOTS


def load_params(settings: Settings) -> Params:
    """Merge ``clinic.yaml`` into ``params.yaml``; SettingsError names file, key and rule of a wrong one."""
    return merge_params(settings.manifest.params)


def merge_params(overrides: dict[str, dict[str, Any]]) -> Params:
    """Merge a clinic's ``overrides`` into ``params.yaml``; SettingsError names what is wrong."""
    merged: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for section, values in overrides.items():
        merged[section] = merged.get(section, {}) | values
    try:
        return Params.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, overrides)) from None


def _explain(error: ValidationError, overrides: dict[str, dict[str, Any]]) -> str:
    """Name file, key and rule of the first wrong parameter, in one line."""
    first = error.errors()[0]
    section, key = (*map(str, first["loc"]), "")[:2]
    if first["type"] == "extra_forbidden" and not key:  # an unknown section; a clinic names keys in it
        key = next(iter(overrides.get(section, {})), "")
    file = "clinic.yaml" if section in overrides and (not key or key in overrides[section]) else "params.yaml"
    name = f"params.{section}.{key}".rstrip(".")
    if first["type"] == "extra_forbidden":
        return f"{file}: {name} is not a parameter of params.yaml"
    if first["type"] == "missing":
        return f"{file}: {name} is missing"
    rule = first["msg"].removeprefix("Input ")
    if first["type"] == "literal_error":
        rule = f"may be {', '.join(get_args(Method))}"
    return f"{file}: {name} is {first['input']!r}; it {rule}"
