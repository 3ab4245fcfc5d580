"""The compose file follows the Compose Specification, and gives no container more than it needs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.unit.deploy.deploy_files import COMPOSE, SCHEMAS, read_compose, read_environment

SERVICES: dict[str, dict[str, Any]] = read_compose()["services"]


def test_it_follows_the_compose_specification() -> None:
    validator = Draft7Validator(json.loads((SCHEMAS / "compose.json").read_text()))
    document = read_compose()
    assert document.pop("name") == "pmlm"  # newer than the schema
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []
    document["services"]["endpoint"]["restrat"] = "always"
    assert not validator.is_valid(document)


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert not re.match(r"0|root", service["user"])
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & set(service)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "docker.sock" not in json.dumps(service)


@pytest.mark.parametrize("name", SERVICES)
def test_what_goes_on_running_is_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]
    once = name == "airflow-database"
    assert service["restart"] == ("no" if once else "unless-stopped")
    assert once != ("healthcheck" in service)


def test_every_name_that_is_referred_to_is_declared() -> None:
    document = read_compose()
    for service in SERVICES.values():
        sources = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {source for source in sources if re.fullmatch(r"\w+", source)} <= set(document["volumes"])
        assert set(service["networks"]) <= set(document["networks"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for file in service.get("env_file", ()):
            assert read_environment(COMPOSE.parent / file)
    assert {name for name, one in SERVICES.items() if one["networks"] == ["data"]} >= {"postgres", "redis"}
    assert document["networks"]["data"] == {"internal": True}


def test_every_secret_is_in_the_example_and_its_absence_is_an_error() -> None:
    asked = dict(re.findall(r"\$\{([A-Z_]+)(:[-?])", COMPOSE.read_text()))
    asked.pop("CLINIC_DROPS")
    assert set(asked) == set(read_environment(COMPOSE.parent / "secrets.env.example"))
    assert {name for name, operator in asked.items() if operator == ":-"} == {"LLM_API_KEY"}


def test_the_endpoint_and_the_nights_share_state_keys_and_store() -> None:
    endpoint, nights = SERVICES["endpoint"], SERVICES["airflow-scheduler"]
    assert set(endpoint["volumes"]) <= set(nights["volumes"])
    assert endpoint["env_file"][0] == nights["env_file"][0]
    assert endpoint["environment"]["PMLM_ONLINE_STORE"] == nights["environment"]["PMLM_ONLINE_STORE"]
