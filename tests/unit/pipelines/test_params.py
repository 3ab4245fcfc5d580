"""The schema of ``params.yaml``: overrides, and errors that name file, key and rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from models.refiner.interface import Caps
from pipelines.params import Params, load_params
from pmlm.errors import SettingsError
from pmlm.settings import PROJECT, Settings


def load(home: Path, params: object) -> Params:
    (home / "clinic.yaml").write_text(yaml.safe_dump({"params": params}))
    return load_params(Settings(home=home, drops=home))


def test_without_overrides_the_schema_gives_the_file_as_it_is(tmp_path: Path) -> None:
    known = yaml.safe_load((PROJECT / "params.yaml").read_text())
    dumped = load(tmp_path, {}).model_dump()
    assert dumped == known
    assert yaml.safe_dump(dumped) == yaml.safe_dump(known)


def test_a_clinic_overrides_single_parameters(tmp_path: Path) -> None:
    params = load(tmp_path, {"train": {"pick_cap": 2, "token_cap": 30}, "episodes": {"free_segments": 5}})
    assert params.caps == Caps(2, 30)
    assert params.slots == 8
    assert params.train.method == "grpo"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"train": {"magic": 1}}, "clinic.yaml: params.train.magic is not a parameter of params.yaml"),
        ({"trane": {"seed": 1}}, "clinic.yaml: params.trane.seed is not a parameter of params.yaml"),
        ({"train": {"pick_cap": "four"}}, "clinic.yaml: params.train.pick_cap is 'four'; it should be a valid integer"),
        ({"train": {"seed": True}}, "clinic.yaml: params.train.seed is True; it should be a valid integer"),
        ({"train": {"seed": None}}, "clinic.yaml: params.train.seed is None; it should be a valid integer"),
        ({"gate": {"confidence": 1.5}}, "clinic.yaml: params.gate.confidence is 1.5; it should be less than 1"),
    ],
)
def test_a_wrong_parameter_is_one_line_with_file_key_and_rule(tmp_path: Path, params: object, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, params)
    assert str(caught.value) == message


def test_every_parameter_has_a_unit_and_a_meaning() -> None:
    for section in Params.model_fields.values():
        for name, field in section.annotation.model_fields.items():  # type: ignore[union-attr]
            assert field.description, name
            assert field.json_schema_extra["unit"], name  # type: ignore[index, call-overload]
