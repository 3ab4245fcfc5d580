"""A release has its papers, signed; a file that is not as released is not served."""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from bentos.personalizer import release as releases
from bentos.personalizer.personalizer import Personalizer
from bentos.personalizer.release_files import SIGNATURE, SUMS, check_release_files, public_key_path, read_checksums
from pipelines.packaging import serving, signing
from pipelines.packaging.papers import evaluation_report
from pmlm.errors import ServingError
from pmlm.settings import Settings
from tests.contract.three_women import IDENTIFIERS

SCHEMAS = Path(__file__).parents[1] / "data" / "cyclonedx" / "schemas.json.xz"
PAPERS = {
    "model_card.md", "data_card.md", "evaluation.md", "evaluation.json", "evaluation.svg", "drift.json", "verdict.json",
    "prompts.json", "prompt_differences.json", "bom.cdx.json", "source_attributes.json", SUMS, SIGNATURE,
}  # fmt: skip


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """A copy of the current release, to be tampered with."""
    return shutil.copytree(serving.current_release(settings).resolve(), tmp_path / "release")


def test_a_release_has_every_paper_and_names_nobody(folder: Path) -> None:
    assert {path.name for path in folder.iterdir() if path.is_file()} >= PAPERS
    for path in (folder / name for name in PAPERS):
        text = path.read_text()
        assert text
        assert not [word for word in IDENTIFIERS if word in text]


def test_the_model_card_states_use_limits_and_the_data_window(folder: Path) -> None:
    card, made = (folder / "model_card.md").read_text(), releases.read_release(folder)
    for heading in ("## Intended use", "## Limits", "## Data window", "## How it was measured"):
        assert heading in card
    assert made.refiner in card
    assert made.as_of in card


def test_the_bill_of_materials_is_valid_cyclonedx_and_hashes_the_models(folder: Path) -> None:
    bill = json.loads((folder / "bom.cdx.json").read_text())
    schemas = json.loads(lzma.decompress(SCHEMAS.read_bytes()))
    registry = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in schemas.values())
    assert list(Draft7Validator(schemas["bom-1.6.schema.json"], registry=registry).iter_errors(bill)) == []
    parts = {component["bom-ref"]: component for component in bill["components"]}
    hashes = {file["name"]: file["hashes"][0]["content"] for file in parts["refiner"]["components"]}
    assert hashes == {name: sha for name, sha in read_checksums(folder).items() if name.startswith("refiner/")}
    assert any(name.startswith("pkg:pypi/bentoml@") for name in parts)


def test_all_thirty_one_source_attributes_are_stated(folder: Path) -> None:
    stated = json.loads((folder / "source_attributes.json").read_text())
    attributes = [one for group in stated["groups"] for one in group["attributes"]]
    assert [one["number"] for one in attributes] == list(range(1, 32))
    assert all(one["name"] and one["statement"] and "{" not in one["statement"] for one in attributes)
    assert len(stated["groups"]) == 9


def test_the_prompts_of_twenty_invented_cases_have_all_pinned_sentences(folder: Path) -> None:
    prompts = json.loads((folder / "prompts.json").read_text())
    assert len(prompts) == 20
    assert all("Drug allergies: Ibuprofen." in p["prompt"] for n, p in prompts.items() if n.endswith("a blood thinner"))
    assert all(one["chosen"] for one in prompts.values())


def test_the_plot_draws_every_rival_and_is_the_same_each_time() -> None:
    row = {"split": "test", "value": 0.2, "ci_low": 0.1, "ci_high": 0.3}
    evaluated = {"rows": [row | {"name": f"reward_refined_vs_{rival}"} for rival in ("champion", "minilm")]}
    drawn = evaluation_report.draw_forest(evaluated)
    assert ET.fromstring(drawn).tag.endswith("svg")
    assert b"minilm" in drawn
    assert evaluation_report.draw_forest(evaluated) == drawn


def test_sha256sum_checks_a_release_as_it_is(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=folder, check=True)


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_minisign_verifies_the_clinics_signature(settings: Settings, folder: Path) -> None:
    command = ["minisign", "-V", "-p", str(public_key_path(settings)), "-m", SUMS]
    subprocess.run(command, cwd=folder, check=True)


def test_signing_again_gives_the_same_bytes(settings: Settings, folder: Path) -> None:
    before = (folder / SIGNATURE).read_bytes()
    signing.sign_release(settings, folder, releases.read_release(folder).version)
    assert (folder / SIGNATURE).read_bytes() == before


def _change_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _sign_with_another_key(folder: Path) -> None:
    lines = (folder / SIGNATURE).read_text().splitlines()
    signed = bytearray(base64.b64decode(lines[1]))
    signed[20] ^= 1
    lines[1] = base64.b64encode(signed).decode()
    (folder / SIGNATURE).write_text("\n".join(lines) + "\n")


def _restate_checksum(folder: Path) -> None:
    """Change a file and its checksum with it, as somebody without the clinic's key can."""
    _change_byte(folder / "refiner" / "refiner.json")
    old = read_checksums(folder)["refiner/refiner.json"]
    new = hashlib.sha256((folder / "refiner" / "refiner.json").read_bytes()).hexdigest()
    (folder / SUMS).write_text((folder / SUMS).read_text().replace(old, new))


TAMPERINGS: dict[str, Callable[[Path], object]] = {
    "a byte of the refiner changed": lambda f: _change_byte(f / "refiner" / "refiner.json"),
    "a byte of the manifest changed": lambda f: _change_byte(f / releases.MANIFEST),
    "a file missing": lambda f: (f / "refiner" / "refiner.json").unlink(),
    "a file added": lambda f: (f / "refiner" / "policy.pkl").write_bytes(b"\x80"),
    "no checksums": lambda f: (f / SUMS).unlink(),
    "no signature": lambda f: (f / SIGNATURE).unlink(),
    "an empty signature": lambda f: (f / SIGNATURE).write_text(""),
    "another signature": _sign_with_another_key,
    "a file and its checksum changed": _restate_checksum,
    "the signed comment changed": lambda f: (f / SIGNATURE).write_text(
        (f / SIGNATURE).read_text().replace("comment: release", "comment: another release")
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_release_that_is_not_as_released_is_not_served(settings: Settings, folder: Path, tampering: str) -> None:
    check_release_files(settings, folder)
    TAMPERINGS[tampering](folder)
    with pytest.raises(ServingError):
        Personalizer.open(settings, folder)


def test_a_server_without_the_clinics_public_key_still_checks_the_bytes(settings: Settings, folder: Path) -> None:
    elsewhere = settings.model_copy(update={"key_dir": folder.parent / "no keys"})
    check_release_files(elsewhere, folder)
    _change_byte(folder / "refiner" / "refiner.json")
    with pytest.raises(ServingError, match=r"refiner/refiner\.json is changed"):
        check_release_files(elsewhere, folder)
