"""What a release is made of, as CycloneDX 1.6: models with hashes, packages that serve."""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from bentos.personalizer.release import Release
from bentos.personalizer.release_files import hash_file

SPEC = "1.6"
NAMESPACE = uuid.UUID("6f2d8a6e-6f0c-5d0b-9d3b-5f1c6d0f7a11")  # of serial numbers: the same release has the same


def build_bill(release: Release, folder: Path, requirements: Sequence[str]) -> dict[str, Any]:
    """Build the bill of the release whose files are in ``folder``, served with the locked ``requirements``."""
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, release.id)}",
        "version": 1,
        "metadata": {
            "timestamp": release.as_of,
            "component": {
                "type": "application", "bom-ref": "release", "name": "pmlm-release", "version": release.version,
                "purl": f"pkg:generic/pmlm-release@{release.version}",
            },
        },
        "components": [*_list_models(release, folder), *_list_packages(requirements)],
        "dependencies": [{"ref": "release", "dependsOn": ["refiner", "encoder", "llm"]}],
    }  # fmt: skip


def _list_models(release: Release, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the refiner and the ranking with their files' hashes, and the encoder and language model by name."""
    for part, name in (("refiner", release.refiner), ("ranker", release.ranker), ("drafts", "drafts")):
        files = [p for p in sorted((folder / part).glob("*")) if p.is_file()]
        if name and files:
            yield {
                "type": "machine-learning-model" if part != "drafts" else "data",
                "bom-ref": part,
                "name": name,
                "version": release.night,
                "components": [
                    {
                        "type": "file",
                        "name": f"{part}/{path.name}",
                        "hashes": [{"alg": "SHA-256", "content": hash_file(path)}],
                    }
                    for path in files
                ],
            }
    yield {"type": "machine-learning-model", "bom-ref": "encoder", "name": release.encoder}
    yield {"type": "machine-learning-model", "bom-ref": "llm", "name": release.llm}


def _list_packages(requirements: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the locked packages that serve, with the licence that each states."""
    for line in requirements:
        wanted = Requirement(line)
        version = next((s.version for s in wanted.specifier), "")
        reference = f"pkg:pypi/{wanted.name.lower()}@{version}"
        component: dict[str, Any] = {
            "type": "library",
            "bom-ref": reference,
            "name": wanted.name,
            "version": version,
            "purl": reference,
        }
        if licence := _read_licence(wanted.name):
            component["licenses"] = [{"license": {"name": licence}}]
        yield component


def _read_licence(package: str) -> str:
    """The first line of the licence that an installed package states; some state the whole text."""
    try:
        stated = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
    field = next((name for name in ("License-Expression", "License") if name in stated), None)
    lines = stated[field].strip().splitlines() if field else []
    return lines[0] if lines else ""
