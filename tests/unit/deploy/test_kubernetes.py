"""The Kubernetes objects are valid by its own schema, hardened, and refer to what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests.unit.deploy.deploy_files import KUSTOMIZATION, PAGE, SCHEMAS, VALUES, list_objects, list_pods

SCHEMA = json.loads((SCHEMAS / "kubernetes.json").read_text())
OBJECTS = list_objects()
VALUE = yaml.safe_load(VALUES.read_text())
GENERATED = {one["name"] for one in yaml.safe_load(KUSTOMIZATION.read_text())["configMapGenerator"]}


def _find_errors(one: dict[str, Any]) -> list[str]:
    """What Kubernetes would refuse in an object, unknown fields included."""
    name = SCHEMA["kinds"][f"{one['apiVersion']}/{one['kind']}"]
    validator = Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": SCHEMA["definitions"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(one)]


def _of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in OBJECTS if one["kind"] == kind}


@pytest.mark.parametrize("one", OBJECTS, ids=lambda o: f"{o['kind']}/{o['metadata']['name']}")
def test_every_object_is_valid(one: dict[str, Any]) -> None:
    assert _find_errors(one) == []


def test_a_wrong_object_is_found() -> None:
    wrong = json.loads(json.dumps(_of_kind("Deployment")["pmlm-endpoint"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    assert any("readinesProbe" in error for error in _find_errors(wrong))


def test_what_kustomize_builds_is_valid() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed: kustomize was not run")
    done = subprocess.run(["kubectl", "kustomize", str(KUSTOMIZATION.parent)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(OBJECTS) + len(GENERATED)
    assert {one["metadata"]["namespace"] for one in built} == {"pmlm"}
    assert [error for one in built for error in _find_errors(one)] == []


def test_the_endpoint_has_what_keeps_it_up() -> None:
    assert {one["kind"] for one in OBJECTS} >= {"HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"}
    scaler, budget = (
        _of_kind("HorizontalPodAutoscaler")["pmlm-endpoint"],
        _of_kind("PodDisruptionBudget")["pmlm-endpoint"],
    )
    deployment = _of_kind("Deployment")["pmlm-endpoint"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == "pmlm-endpoint"
    assert scaler["spec"]["minReplicas"] == deployment["spec"]["replicas"] > budget["spec"]["minAvailable"]
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


@pytest.mark.parametrize(("name", "pod"), list_pods(), ids=lambda v: v if isinstance(v, str) else "")
def test_no_container_has_more_rights_than_it_needs(name: str, pod: dict[str, Any]) -> None:
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= set(container)


def test_selectors_find_the_pods_that_they_are_for() -> None:
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in OBJECTS
        if "template" in one.get("spec", {})
    }
    for name, service in _of_kind("Service").items():
        assert service["spec"]["selector"].items() <= labels[name].items()
        named = {port["name"] for _, pod in list_pods() for c in pod["containers"] for port in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    every = [*labels.values(), VALUE["labels"]]
    text = json.dumps([one["spec"] for one in _of_kind("NetworkPolicy").values()])
    for found in re.findall(r'"podSelector": {"matchLabels": ({[^}]*})}', text):
        assert any(json.loads(found).items() <= one.items() for one in every), found
    assert _of_kind("NetworkPolicy")["pmlm-deny"]["spec"]["podSelector"] == {}


def test_volumes_and_settings_that_are_referred_to_are_there() -> None:
    claims = set(_of_kind("PersistentVolumeClaim"))
    endpoint = dict(list_pods())["pmlm-endpoint"]
    for volumes in (endpoint["volumes"], VALUE["volumes"]):
        asked = {one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one}
        assert asked == claims == {"pmlm-state", "pmlm-keys", "pmlm-drops"}
    (container,) = endpoint["containers"]
    mounted = {one["name"].removeprefix("pmlm-"): one["mountPath"] for one in container["volumeMounts"]}
    nights = {one["name"].removeprefix("pmlm-"): one["mountPath"] for one in VALUE["volumeMounts"]}
    assert nights.items() <= mounted.items()
    shared = [{"configMapRef": {"name": name}} for name in GENERATED]
    assert container["envFrom"] == yaml.safe_load(VALUE["extraEnvFrom"]) == shared
    # SQLite with a write-ahead log: all that mount the state run on one node
    assert endpoint["nodeSelector"] == VALUE["nodeSelector"]
    assert endpoint["securityContext"]["runAsUser"] == VALUE["uid"] == VALUE["securityContexts"]["pod"]["runAsUser"]


def test_secrets_come_by_reference_and_the_page_says_how_to_make_them() -> None:
    asked = set()
    for _, pod in list_pods():
        for variable in (v for container in pod["containers"] for v in container.get("env", ())):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                asked.add((reference["name"], reference["key"]))
    asked |= {(one["secretName"], one["secretKey"]) for one in VALUE["secret"]}
    asked |= {(VALUE["fernetKeySecretName"], "fernet-key"), (VALUE["apiSecretKeySecretName"], "api-secret-key")}
    asked |= {(VALUE["jwtSecretName"], "jwt-secret"), (VALUE["data"]["metadataSecretName"], "connection")}
    assert not _of_kind("Secret")
    page = PAGE.read_text()
    for secret, key in asked:
        made = re.search(rf"create secret generic {secret} \\\n((?:  .*\n)+)", page)
        assert made, f"the page does not make {secret}"
        assert f"--from-literal={key}=" in made[1] or f"{key}=" in made[1], f"the page does not give {secret} its {key}"
