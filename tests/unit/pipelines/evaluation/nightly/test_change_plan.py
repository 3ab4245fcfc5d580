"""The change plan is read strictly, and finds what lies outside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.evaluation.nightly import change_plan, gate
from pipelines.params import Params, merge_params
from pipelines.training import champion
from pipelines.training.champion import Champion
from pmlm.errors import ChangePlanError
from pmlm.settings import PROJECT, Settings

ORIGIN = {"encoder": "minilm", "template": "v2", "feature_service": "pmlm_v1", "feature_schema": "abc"}
REFINER = {"kind": "policy", "caps": {"picks": 4, "tokens": 60}, "origin": ORIGIN}
FIGURES = {"refined_tokens": 30.0, "champion_tokens": 25.0, "refined_f1": 0.4, "champion_f1": 0.4}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "drops").mkdir()
    shutil.copy(PROJECT / change_plan.FILE, tmp_path / "drops")
    return Settings(home=tmp_path / "home", drops=tmp_path / "drops", key_dir=tmp_path / "keys")


@pytest.fixture
def params() -> Params:
    return merge_params({})


def _evaluated(figures: dict[str, float] | None = None, **changed: Any) -> dict[str, Any]:
    rows = [{"name": name, "split": "gate", "value": value} for name, value in (FIGURES | (figures or {})).items()]
    slices = [{"slice": f"{kind} x"} for kind in ("age", "trimester", "record", "language")]
    safety = dict.fromkeys(("red_flag_recall", "pinned_present", "contradictions"))
    return {"rows": rows, "slices": slices, "safety": safety, "picked": ["record"], "seeds": [0.1] * 3} | changed


def _outside(settings: Settings, params: Params, challenger: dict | None = None, **evaluated: Any) -> list[str]:
    plan = change_plan.read_plan(settings)
    return change_plan.find_outside(plan, params, _evaluated(**evaluated), REFINER, REFINER | (challenger or {}))


def test_new_weights_alone_are_inside_the_plan(settings, params) -> None:
    assert _outside(settings, params) == []


@pytest.mark.parametrize("part", sorted(ORIGIN))
def test_another_part_waits_for_a_person(settings, params, part: str) -> None:
    (found,) = _outside(settings, params, {"origin": ORIGIN | {part: "another"}})
    assert part.replace("_", " ") in found


@pytest.mark.parametrize(
    ("evaluated", "named"),
    [
        ({"figures": {"refined_tokens": 61.0, "champion_tokens": 60.0}}, "61.0 tokens"),
        ({"figures": {"refined_tokens": 55.0}}, "longer by 30.0"),
        ({"figures": {"refined_f1": 0.3}}, "F1 lower by 0.100"),
        ({"picked": ["record", "rumour"]}, "kind rumour"),
        ({"seeds": [0.1, 0.1]}, "2 seeds"),
        ({"slices": [{"slice": "age x"}]}, "no slice by trimester"),
        ({"safety": {}}, "no red flag recall"),
        ({"rows": []}, "not measured"),
    ],
)
def test_beyond_a_limit_or_untested_is_outside_the_plan(settings, params, evaluated: dict, named: str) -> None:
    assert any(named in found for found in _outside(settings, params, **evaluated))


def test_a_gate_made_weaker_by_the_clinics_parameters_is_outside_the_plan(settings) -> None:
    weaker = merge_params(
        {"gate": {"confidence": 0.8, "minimum_episodes": 2, "minimum_patients": 2}, "train": {"method": "best_of_k"}}
    )
    assert len(_outside(settings, weaker)) == 4


def _break(settings: Settings, text: str) -> None:
    (settings.drops / change_plan.FILE).write_text(text)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "version: 1\n", ": :\n  - {", "version: one\n", "\x00", "version: 1\nsurprise: true\n"],
)
def test_a_plan_that_cannot_be_obeyed_is_one_line(settings, text: str) -> None:
    _break(settings, text)
    with pytest.raises(ChangePlanError, match="nothing is promoted") as raised:
        change_plan.read_plan(settings)
    assert "\n" not in str(raised.value)


def test_an_unknown_key_anywhere_in_the_plan_is_named(settings) -> None:
    plan = yaml.safe_load((settings.drops / change_plan.FILE).read_text())
    plan["description_of_modifications"]["refiner"]["most_tokans"] = 10
    _break(settings, yaml.safe_dump(plan))
    with pytest.raises(ChangePlanError, match=r"refiner\.most_tokans is unknown"):
        change_plan.read_plan(settings)


BETTER = {"decision": "promote", "why": "better"}


@pytest.fixture
def faced(settings: Settings, params: Params) -> Champion:
    from models.refiner import checkpoint
    from models.refiner.policy import Policy
    from models.refiner.policy_config import PolicyConfig
    from pipelines.training.provenance import current_provenance

    checkpoint.save_policy(settings.models / "challenger", Policy(PolicyConfig()), current_provenance())
    return champion.ensure_champion(settings, "20260601", params.caps)


def test_inside_the_plan_the_gate_promotes_and_names_the_plan(settings, params, faced) -> None:
    obeyed = gate.obey_plan(settings, BETTER, _evaluated(), faced, params)
    assert "decision" not in obeyed
    assert obeyed["plan"].startswith("pccp.yaml ")


def test_outside_the_plan_the_better_challenger_waits(settings, params, faced) -> None:
    obeyed = gate.obey_plan(settings, BETTER, _evaluated(seeds=[0.1]), faced, params)
    assert obeyed["decision"] == "waiting"
    assert "pmlm promote" in obeyed["why"]


def test_without_a_valid_plan_the_gate_fails_closed(settings, params, faced) -> None:
    _break(settings, "version: 1\n")
    obeyed = gate.obey_plan(settings, BETTER, _evaluated(), faced, params)
    assert obeyed["decision"] == "hold"
    assert "nothing is promoted" in obeyed["why"]
    assert gate.obey_plan(settings, {"decision": "reject", "why": "worse"}, _evaluated(), faced, params) == {
        "plan": None, "outside": [],
    }  # fmt: skip
