"""The files of ``deploy/``, read: documents, environments, units, commands."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pmlm.settings import PROJECT

DEPLOY = PROJECT / "deploy"
PAGE = PROJECT / "docs" / "deployment.md"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
VALUES = DEPLOY / "kubernetes" / "airflow-values.yaml"
KUSTOMIZATION = DEPLOY / "kubernetes" / "kustomization.yaml"
UNITS = sorted(path for path in (DEPLOY / "systemd").iterdir() if path.suffix in (".service", ".timer", ".target"))
SCHEMAS = PROJECT / "tests" / "data" / "deploy"
PROGRAMS = "/opt/pmlm/.venv/bin"
_INVOCATION = re.compile(rf"(?:{PROGRAMS}/)?\b(pmlm|airflow) ((?:[a-z][a-z-]*|--[a-z-]+)(?: [^&;|]+)?)")


def read_environment(path: Path) -> dict[str, str]:
    """The assignments of an environment file."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def read_compose() -> dict[str, Any]:
    """The compose file, with its anchors merged."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return document


def list_objects() -> list[dict[str, Any]]:
    """Every Kubernetes object of the resources that the kustomization names."""
    names = yaml.safe_load(KUSTOMIZATION.read_text())["resources"]
    return [one for name in names for one in yaml.safe_load_all((KUSTOMIZATION.parent / name).read_text())]


def list_pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each pod template: the name of its owner, and its spec."""
    for one in list_objects():
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def read_unit(path: Path) -> configparser.ConfigParser:
    """A systemd unit; of a key that stands twice the last value counts."""
    unit = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(path.read_text())
    return unit


def list_commands() -> set[str]:
    """Every ``pmlm …`` and ``airflow …`` that a container or a unit runs."""
    lines = [line for path in UNITS for line in re.findall(r"^ExecStart=(.*)$", path.read_text(), re.M)]
    services = read_compose()["services"].values()
    runs = [service["command"] for service in services if "command" in service]
    runs += [service["healthcheck"]["test"][1:] for service in services if "healthcheck" in service]
    containers = [container for _, pod in list_pods() for container in pod["containers"]]
    runs += [container[key] for container in containers for key in ("command", "args") if key in container]
    runs.append(yaml.safe_load(VALUES.read_text())["migrateDatabaseJob"]["args"])
    lines += [" ".join(words) for words in runs]
    found = {f"{program} {rest}".strip() for line in lines for program, rest in _INVOCATION.findall(line)}
    return {command.replace('"', "").replace(" One writer for a clinic's record", " about") for command in found}
