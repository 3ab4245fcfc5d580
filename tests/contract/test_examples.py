"""The walkthroughs of examples/ run as they stand and show what they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from bentos.auth.keys import development_token
from models.safety.escalation import ESCALATION
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.settings import PROJECT, Settings
from tests.contract.three_women import ADA

EXAMPLES = sorted((PROJECT / "examples").glob("*.py"))


def run(name: str, *arguments: str) -> list[str]:
    """The lines that an example prints."""
    command = [sys.executable, str(PROJECT / "examples" / name), *arguments]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_short_and_has_help(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 80
    assert run(example.name, "--help")[0].startswith("usage:")


def test_an_added_feature_is_known_only_from_the_moment_the_clinic_knew() -> None:
    values = [float(line.split()[-2]) for line in run("add_a_feature.py")]
    assert values == [0.0, 2.0, 1.5]


def test_a_prompt_scored_by_hand_gains_by_the_fact_behind_the_reply() -> None:
    lines = run("score_a_prompt.py")
    gains = {line.split()[2]: float(line.split()[1]) for line in lines if line.startswith("gain ")}
    assert gains.pop("haemoglobin.latest:") > 0.5 > 5 * max(gains.values())
    initial, refined = (float(line.split()[-1]) for line in lines[:2])
    assert refined > initial


def test_the_endpoint_is_called_from_typescript(endpoint: RunningEndpoint, settings: Settings) -> None:
    # Playwright's own Node runs TypeScript as it stands
    node, environment = compute_driver_executable()[0], os.environ | {"NO_COLOR": "1"}
    command = [str(node), str(PROJECT / "examples" / "ask.ts"), endpoint.url, development_token(settings)]
    done = subprocess.run([*command, ADA], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    streamed, whole = done.stdout.split("no red flag\n")
    assert "haemoglobin" in streamed
    assert streamed.split("\n", 1)[1].strip() in whole
    assert "because: Haemoglobin" in whole
    flagged = subprocess.run(
        [*command, ADA, "My baby hasn't moved since breakfast."], capture_output=True, text=True, env=environment
    )
    assert ESCALATION["en"]["emergency"] in flagged.stdout
    refused = subprocess.run([*command, "nobody"], capture_output=True, text=True, env=environment)
    assert (refused.returncode, refused.stderr[:5]) == (1, "404: ")


def test_the_endpoint_is_called_from_outside(endpoint: RunningEndpoint, settings: Settings) -> None:
    lines = run("call_the_endpoint.py", "--url", endpoint.url, "--token", development_token(settings), "--patient", ADA)
    assert lines[0].startswith("Refiner ")
    assert any("haemoglobin" in line for line in lines)
    assert lines[-2] == "Rating counts: True"
    assert lines[-1].startswith("An unknown patient is refused: 404")
