"""The published benchmark: a clinic is generated once, and the learning curve reads what was published."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import yaml

from benchmarks import method


def test_a_clinic_is_generated_once_with_the_measurements_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []

    def run(*command: str, **_: object) -> str:
        commands.append(command)
        folder = Path(command[command.index("--out") + 1])
        folder.mkdir()
        (folder / "clinic.yaml").write_text(yaml.safe_dump({"name": "x", "params": {"drift": {"minimum_rows": 20}}}))
        return ""

    monkeypatch.setattr(method, "_run", run)
    for _ in range(2):
        method.generate_clinic(tmp_path / "clinic", 30, 7, ["--an-option"])
    assert len(commands) == 1
    assert commands[0][-1] == "--an-option"
    params = yaml.safe_load((tmp_path / "clinic" / "clinic.yaml").read_text())["params"]
    assert params == {"drift": {"minimum_rows": 20}, **method.PARAMS}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """A clinic of 30 women, its night done."""
    monkeypatch.setattr(method, "RESULTS", tmp_path)
    asked = argparse.Namespace(women=30, seeds=3, clinic_seed=7, clinic_options="", held_out=0, folder=tmp_path)
    method.clinic_folder(asked).mkdir()
    manifest = {"name": "small", "params": method.PARAMS}
    (method.clinic_folder(asked) / "clinic.yaml").write_text(yaml.safe_dump(manifest))
    return asked


def _row(number: int, name: str, value: float) -> str:
    return json.dumps({"row": number, "name": name, "split": "test", "value": value}) + "\n"


def test_what_is_known_is_published_beside_rows_of_earlier_runs(asked: argparse.Namespace) -> None:
    for clinic, value in (("small", 0.6), ("another", 0.9)):
        (asked.folder / "state" / clinic / "metrics").mkdir(parents=True)
        (asked.folder / "state" / clinic / "metrics" / "method.jsonl").write_text(_row(6, "refined_f1", value))
    published = asked.folder / "method_30_women.jsonl"
    published.write_text(_row(8, "selection_swap", 0.1) + _row(6, "refined_f1", 0.5))
    method.publish(asked, {"nights": 60.0})
    assert published.read_text() == _row(6, "refined_f1", 0.6) + _row(8, "selection_swap", 0.1)
    assert "nights 1 min" in (asked.folder / "method_30_women.md").read_text()


def test_held_out_episodes_are_drawn_again_only_where_their_number_changes(
    asked: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(method, "_pmlm", lambda _, *command: commands.append(command))
    for wanted in (0, 400, 400, 0):
        asked.held_out = wanted
        method.draw_held_out(asked)
        params = yaml.safe_load((method.clinic_folder(asked) / "clinic.yaml").read_text())["params"]["episodes"]
        assert params == method.PARAMS["episodes"] | ({"most_held_out": wanted} if wanted else {})
    assert commands == [("stage", "episodes")] * 2


def test_the_learning_curve_has_a_column_per_published_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method, "RESULTS", tmp_path)
    for women, value in ((300, 0.5), (100, 0.4), (1000, 0.6)):
        row = {"name": "refined_f1", "split": "test", "value": value, "ci_low": value - 0.1, "ci_high": None}
        row["ci_high"] = value + 0.1 if women != 100 else None
        row["ci_low"] = row["ci_low"] if women != 100 else None
        (tmp_path / f"method_{women}_women.jsonl").write_text(json.dumps(row) + "\n")
    lines = method.render_curve(method.read_published()).splitlines()
    assert lines[0] == "| row | 100 women | 300 women | 1000 women |"
    assert lines[2:] == ["| `refined_f1` | 0.400 | 0.500 [0.400, 0.600] | 0.600 [0.500, 0.700] |"]
