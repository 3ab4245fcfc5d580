"""Read the change plan, ``pccp.yaml``, and find what lies outside it.

The plan has the shape of the FDA's predetermined change control plan. It is read strictly: an unknown key, a missing
one or a wrong value is a ``ChangePlanError``, with which nothing is promoted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.params import Method, Params
from pipelines.splits import GATE
from pmlm.errors import ChangePlanError
from pmlm.settings import PROJECT, Settings

FILE = "pccp.yaml"
SentenceKind = Literal["record", "change", "behaviour", "preference", "peer", "prediction"]
Part = Literal["encoder", "template", "feature_service", "feature_schema", "caps"]
SliceKind = Literal["age", "trimester", "record", "language"]
SafetyFigure = Literal["red_flag_recall", "pinned_present", "contradictions"]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RefinerChange(_Strict):
    """What may become of the refiner without a person, and within which limits."""

    change: Text
    kinds: list[Literal["policy", "fixed", "table", "regressor"]]
    sentence_kinds: list[SentenceKind]
    most_tokens: float = Field(ge=0)
    most_token_growth: float
    most_f1_drop: float = Field(ge=0, le=1)


class Modifications(_Strict):
    """Which parts change by themselves; a change of any other part waits for a person."""

    refiner: RefinerChange
    not_by_itself: list[Part]


class DataManagement(_Strict):
    """The data that a decision needs."""

    split: Literal["patient_and_time"]
    fewest_gate_episodes: int = Field(ge=1)
    fewest_gate_patients: int = Field(ge=2)


class Retraining(_Strict):
    """How a challenger is trained."""

    methods: list[Method]
    fewest_seeds: int = Field(ge=1)


class PerformanceEvaluation(_Strict):
    """What a challenger is measured by."""

    lowest_confidence: float = Field(gt=0, lt=1)
    slices: list[SliceKind]
    safety: list[SafetyFigure]


class UpdateProcedure(_Strict):
    """What happens with a challenger, for people to read."""

    inside_the_plan: Text
    outside_the_plan: Text
    rollback: Text


class ModificationProtocol(_Strict):
    """Data, retraining, evaluation and update."""

    data_management: DataManagement
    retraining: Retraining
    performance_evaluation: PerformanceEvaluation
    update_procedure: UpdateProcedure


class Impact(_Strict):
    """A risk of the changes, and what is done about it."""

    risk: Text
    mitigation: Text


class ChangePlan(_Strict):
    """The whole plan."""

    version: int = Field(ge=1)
    description_of_modifications: Modifications
    modification_protocol: ModificationProtocol
    impact_assessment: list[Impact] = Field(min_length=1)


def plan_path(settings: Settings) -> Path:
    """The clinic's own plan, else the project's."""
    own = settings.drops / FILE
    return own if own.exists() else PROJECT / FILE


def read_plan(settings: Settings) -> ChangePlan:
    """Read the plan; ``ChangePlanError`` in one line for one that cannot be obeyed."""
    path = plan_path(settings)
    try:
        return ChangePlan.model_validate(yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        raise ChangePlanError(f"there is no {FILE}: nothing is promoted") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        raise ChangePlanError(f"{path} cannot be read: nothing is promoted ({what})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        rule = "is unknown" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Input ")
        raise ChangePlanError(f"{path}: {place} {rule}: nothing is promoted") from None


def name_plan(settings: Settings) -> str:
    """Name the plan by its content, so that a verdict says which plan it obeyed."""
    return f"{FILE} {sha256(plan_path(settings).read_bytes()).hexdigest()[:12]}"


def find_outside(
    plan: ChangePlan,
    params: Params,
    evaluated: Mapping[str, Any],
    champion: Mapping[str, Any],
    challenger: Mapping[str, Any],
) -> list[str]:
    """Find what a promotion would change or leave untested beyond the plan, one line each.

    ``champion`` and ``challenger`` are the descriptions of their refiners.
    """
    return [
        *_find_outside_limits(plan.description_of_modifications, evaluated, champion, challenger),
        *_find_outside_protocol(plan.modification_protocol, params, evaluated),
    ]


def _find_outside_limits(
    allowed: Modifications, evaluated: Mapping[str, Any], champion: Mapping[str, Any], challenger: Mapping[str, Any]
) -> Iterator[str]:
    refiner = allowed.refiner
    if challenger["kind"] not in refiner.kinds:
        yield f"a refiner of kind {challenger['kind']}"
    before, after = ({**d["origin"], "caps": d["caps"]} for d in (champion, challenger))
    yield from (f"another {part.replace('_', ' ')}" for part in allowed.not_by_itself if before[part] != after[part])
    yield from (f"sentences of kind {kind}" for kind in evaluated["picked"] if kind not in refiner.sentence_kinds)
    rows = {row["name"]: row["value"] for row in evaluated["rows"] if row["split"] == GATE}
    tokens, champions = rows.get("refined_tokens"), rows.get("champion_tokens")
    if tokens is None or champions is None:
        yield "prompts whose length was not measured"
    elif tokens > refiner.most_tokens:
        yield f"prompts of {tokens:.1f} tokens, at most {refiner.most_tokens:g} are"
    elif tokens - champions > refiner.most_token_growth:
        yield f"prompts longer by {tokens - champions:.1f} tokens, at most {refiner.most_token_growth:g} are"
    drop = (rows.get("champion_f1") or 0.0) - (rows.get("refined_f1") or 0.0)
    if drop > refiner.most_f1_drop:
        yield f"an F1 lower by {drop:.3f}, at most {refiner.most_f1_drop:g} is"


def _find_outside_protocol(
    protocol: ModificationProtocol, params: Params, evaluated: Mapping[str, Any]
) -> Iterator[str]:
    data, training, measured = protocol.data_management, protocol.retraining, protocol.performance_evaluation
    if params.train.method not in training.methods:
        yield f"training by {params.train.method}"
    if len(evaluated["seeds"]) < training.fewest_seeds:
        yield f"training with {len(evaluated['seeds'])} seeds, {training.fewest_seeds} are needed"
    if params.gate.confidence < measured.lowest_confidence:
        yield f"a gate at confidence {params.gate.confidence:g}"
    if params.gate.minimum_episodes < data.fewest_gate_episodes:
        yield f"a gate of {params.gate.minimum_episodes} episodes"
    if params.gate.minimum_patients < data.fewest_gate_patients:
        yield f"a gate of {params.gate.minimum_patients} patients"
    kinds = {one["slice"].split()[0] for one in evaluated["slices"]}
    yield from (f"no slice by {kind}" for kind in measured.slices if kind not in kinds)
    yield from (f"no {name.replace('_', ' ')}" for name in measured.safety if name not in evaluated["safety"])
