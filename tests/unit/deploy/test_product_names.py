"""What deploy/ names exists: settings, commands, routes, ports, versions; and no secret stands in it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer
import yaml

from bentos.auth.routes import Door, find_rule
from pipelines.night import airflow_settings
from pipelines.night.schedule import airflow_processes
from pipelines.packaging.requirements import read_lock
from pmlm.cli.main import app
from pmlm.settings import PROJECT, Settings, load_settings
from tests.unit.deploy.deploy_files import (
    COMPOSE,
    DEPLOY,
    KUSTOMIZATION,
    PAGE,
    VALUES,
    list_commands,
    list_pods,
    read_compose,
    read_environment,
)

FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
KNOWN = {f"PMLM_{name.upper()}" for name in Settings.model_fields}
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
#: Airflow's own page of its health, which `pmlm up` waits for too.
AIRFLOW_HEALTH = "/api/v2/monitor/health"


@pytest.mark.parametrize("file", [*FILES, PAGE], ids=lambda p: p.name)
def test_every_setting_that_is_named_exists(file: Path) -> None:
    assert set(re.findall(r"\bPMLM_[A-Z][A-Z0-9_]*", file.read_text())) <= KNOWN


def test_settings_are_named_at_all() -> None:
    named = {name for file in FILES for name in re.findall(r"\bPMLM_[A-Z][A-Z0-9_]*", file.read_text())}
    assert named >= {"PMLM_HOME", "PMLM_KEY_DIR", "PMLM_DROPS", "PMLM_ONLINE_STORE", "PMLM_HOST", "PMLM_LLM_API_KEY"}


def test_the_shipped_values_are_valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PMLM_")]:
        monkeypatch.delenv(name)
    literals = dict(line.split("=", 1) for line in _settings_map())
    for values in (read_environment(DEPLOY / "pmlm.env"), literals):
        load_settings(**{name.removeprefix("PMLM_").lower(): value for name, value in values.items()})
        assert values["PMLM_HOME"] == "/var/lib/pmlm"


def test_every_command_exists() -> None:
    ours = {words for words in list_commands() if words.startswith("pmlm ")}
    assert ours == {"pmlm serve", "pmlm night"}
    assert {words.split()[1] for words in ours} <= set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_airflow_runs_in_the_parts_that_pmlm_up_starts() -> None:
    services = read_compose()["services"]
    parts = {name.removeprefix("airflow-"): one["command"] for name, one in services.items() if "airflow-" in name}
    parts.pop("database")
    assert parts == {name: ["airflow", *arguments] for name, arguments in airflow_processes.PARTS.items()}
    others = {words for words in list_commands() if words.startswith("airflow ")}
    assert {words for words in others if "pools" in words} == {f"airflow pools set {airflow_settings.POOL} 1 about"}
    assert "airflow db migrate" in others


def test_airflow_is_configured_as_pmlm_up_configures_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    expected = airflow_settings.make_airflow_environment(settings)
    given = read_environment(DEPLOY / "airflow.env")
    where, dags = str(airflow_settings.airflow_home(settings)), str(PROJECT / "dags")
    moved = {
        name: value.replace("/var/lib/pmlm-airflow", where).replace("/opt/pmlm/dags", dags)
        for name, value in given.items()
    }
    assert moved.items() <= expected.items()
    elsewhere = {name for name in read_compose()["services"]["airflow-scheduler"]["environment"] if "AIRFLOW__" in name}
    assert {name for name in expected if name.startswith("AIRFLOW__")} <= {*given, *elsewhere}


def test_every_health_check_asks_a_route_that_is_open() -> None:
    addresses = re.findall(r"http://127\.0\.0\.1:(\d+)(/[\w/]*)'", COMPOSE.read_text())
    probes = [
        container[probe]["httpGet"]["path"]
        for _, pod in list_pods()
        for container in pod["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if "httpGet" in container[probe]
    ]
    assert len(probes) == 3
    assert (str(_default("airflow_port")), AIRFLOW_HEALTH) in addresses
    asked = {path for port, path in addresses if int(port) == _default("port")}
    assert asked == {"/readyz"}
    for path in (*asked, *probes):
        assert find_rule("GET", path).door is Door.OPEN
    assert AIRFLOW_HEALTH in Path(airflow_processes.__file__).read_text()


def test_the_ports_are_the_product_s() -> None:
    services = read_compose()["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "airflow-api-server": [f"127.0.0.1:{_default('airflow_port')}:{_default('airflow_port')}"],
        "endpoint": [f"127.0.0.1:{_default('port')}:{_default('port')}"],
    }
    (endpoint,) = dict(list_pods())["pmlm-endpoint"]["containers"]
    assert [one["containerPort"] for one in endpoint["ports"]] == [_default("port")]
    assert f"PMLM_PORT={_default('port')}" in _settings_map()


def test_versions_are_those_of_the_lock_and_no_image_floats() -> None:
    values = yaml.safe_load(VALUES.read_text())
    assert f"apache-airflow=={values['airflowVersion']}" == read_lock()["apache-airflow"]
    assert values["defaultAirflowTag"] == VERSION
    built = yaml.safe_load(KUSTOMIZATION.read_text())["images"]
    assert [(one["name"], one["newTag"]) for one in built] == [("pmlm", VERSION)]
    compose = {service["image"] for service in read_compose()["services"].values()}
    cluster = {container["image"] for _, pod in list_pods() for container in pod["containers"]}
    assert f"pmlm:{VERSION}" in compose
    assert cluster - {"pmlm"} == compose - {f"pmlm:{VERSION}"}
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.M)
    for image in (*compose, *(cluster - {"pmlm"}), *bases):
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+(-[\w-]+)?|[\w./-]+:\d+\.\d+-[\w-]+", image), image
    assert all(base.startswith("python:3.11.") for base in bases)


def test_no_secret_stands_in_a_file() -> None:
    for example in DEPLOY.rglob("*.example"):
        assert set(read_environment(example).values()) <= {""}, example.name
    assert not [path.name for path in FILES if path.name == "secrets.env"]
    for file in FILES:
        for word in re.findall(
            r"[A-Za-z0-9+]{20,}", file.read_text()
        ):  # a key in hexadecimal or base64 is full of digits
            assert sum(c.isdigit() for c in word) < 4, f"{file.name}: {word}"
    for line in re.findall(r"\w+://[^\s\"'#]+@", "\n".join(file.read_text() for file in FILES)):
        password = urlsplit(line + "host").password or ""
        assert password.startswith("$") or password == "PASSWORD", line


def _settings_map() -> list[str]:
    """The lines of the ConfigMap that endpoint and nights share."""
    (one,) = yaml.safe_load(KUSTOMIZATION.read_text())["configMapGenerator"]
    lines: list[str] = one["literals"]
    return lines


def _default(name: str) -> int:
    return int(Settings.model_fields[name].default)
