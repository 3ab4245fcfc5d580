"""The units are accepted by systemd's own checker, run as pmlm, and write to their state alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.night.schedule import airflow_processes
from tests.unit.deploy.deploy_files import PROGRAMS, UNITS, read_unit

SERVICES = [path for path in UNITS if path.suffix == ".service"]
HARDENED = {
    "User": "pmlm",
    "Group": "pmlm",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelModules": "yes",
    "RestrictSUIDSGID": "yes",
    "CapabilityBoundingSet": "",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
}
#: Ours are 1.7 on systemd's scale of 0 (nothing to reach) to 10; above 3 it no longer says OK.
MOST_EXPOSURE = "25"


@pytest.fixture
def unit_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which systemd reads our units, with the commands of this interpreter's environment."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the units were not verified")
    for path in UNITS:
        (tmp_path / path.name).write_text(path.read_text().replace(PROGRAMS, str(Path(sys.executable).parent)))
    return os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}  # the colon: systemd's own after ours


def test_systemd_accepts_every_unit(unit_path: dict[str, str]) -> None:
    names = [path.name.replace("@.", "@scheduler.") for path in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *names], env=unit_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", SERVICES, ids=lambda p: p.name)
def test_systemd_finds_a_service_little_exposed(unit: Path, unit_path: dict[str, str]) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSURE}", unit.name]
    done = subprocess.run(command, env=unit_path, capture_output=True, text=True)
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", SERVICES, ids=lambda p: p.name)
def test_a_service_is_hardened_and_writes_to_its_state_alone(unit: Path) -> None:
    service = read_unit(unit)["Service"]
    assert {name: service[name] for name in HARDENED} == HARDENED
    assert service["StateDirectory"].split()[:2] == ["pmlm", "pmlm-keys"]
    assert service.get("ReadWritePaths", "-/srv/clinic") == "-/srv/clinic"


def test_the_target_starts_every_part_of_airflow() -> None:
    (target,) = [path for path in UNITS if path.name == "pmlm-airflow.target"]
    parts = {f"pmlm-airflow@{part}.service" for part in airflow_processes.PARTS}
    assert {name for name in target.read_text().replace("=", " ").split() if "@" in name} == parts
    (template,) = [path for path in UNITS if "@" in path.name]
    quiet = {part for part, arguments in airflow_processes.PARTS.items() if "--skip-serve-logs" in arguments}
    assert f'case "%i" in {"|".join(sorted(quiet))})' in template.read_text()


def test_the_timer_starts_the_night() -> None:
    timer = read_unit(next(path for path in UNITS if path.suffix == ".timer"))
    assert timer["Timer"]["OnCalendar"] == "*-*-* 02:00:00 UTC"  # the default of PMLM_NIGHT_CRON
    assert read_unit(next(p for p in UNITS if p.name == "pmlm-night.service"))["Service"]["Type"] == "oneshot"
