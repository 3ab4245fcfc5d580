"""Find which releases and models learnt from patients; delete such releases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from safetensors.numpy import load_file

from bentos.personalizer import release as releases
from models.prompt import ranker_file
from pipelines import splits
from pipelines.erasure.parquet_rows import has_patients, read_patients
from pipelines.erasure.stage_outputs import Listing
from pipelines.packaging import bento, serving
from pipelines.records.log import ledger
from pmlm.settings import Settings

MODEL_DESCRIPTION = "model.yaml"
_CURRENT = "current.json"  # of the trajectory model


def find_models(episodes: Listing, challenger: Listing, trajectory: Listing, subjects: frozenset[int]) -> set[str]:
    """The models of one night that learnt from the patients: their episodes were of the training split.

    The trajectory model learns from training patients' days, whether or not they asked.
    """
    from models.refiner.checkpoint import DESCRIPTION  # imports torch: only where there is something to erase

    taught = any(
        pc.any(pc.equal(read_patients(path, subjects)["split"], splits.TRAIN)).as_py()
        for name, path in episodes.items()
        if name.endswith(".parquet") and has_patients(path, subjects)
    )
    found = set(_read_ids(challenger, DESCRIPTION, "id")) if taught else set()
    return found | set(_read_ids(trajectory, _CURRENT, "version"))


def list_releases(settings: Settings) -> list[Path]:
    """The folders of all releases."""
    root = serving.current_release(settings).parent
    found = sorted(root.glob(f"*/{releases.MANIFEST}")) if root.exists() else []
    return [path.parent for path in found if not path.parent.is_symlink()]


def find_releases(settings: Settings, models: Iterable[str], subjects: frozenset[int]) -> list[Path]:
    """The releases whose refiner learnt from the patients, or whose initial ranking has replies to them.

    A release that was pruned to its papers may have its ranking in BentoML's store still: an endpoint began with it.
    """
    learnt = set(models)
    return [
        folder
        for folder in list_releases(settings)
        if _read_manifest(folder)["refiner"] in learnt
        or any(
            _ranks_by(place / releases.RANKER / ranker_file.ARRAYS, subjects)
            for place in (folder, _find_model(settings, folder))
        )
    ]


def names_batches(settings: Settings, folder: Path) -> bool:
    """Whether a release names no event batch but those of the ledger."""
    stated = _read_manifest(folder)["events"]
    return stated.keys() <= {batch.name for batch in ledger.list_batches(settings)}


def delete_release(settings: Settings, folder: Path) -> None:
    """Delete a release with its bento and model, the manifest last, by which it is found again after a kill.

    An endpoint that began with its bento starts a worker from it again: that code stays, with the current release.
    """
    model = _find_model(settings, folder)
    if serving.read_started_bento(settings) == f"{releases.BENTO_NAME}:{model.name}":
        _replace_model(model, serving.current_release(settings))
    else:
        for packed in (bento.bento_home(settings) / "bentos" / releases.BENTO_NAME / model.name, model):
            shutil.rmtree(packed, ignore_errors=True)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != releases.MANIFEST:
            path.unlink()
    shutil.rmtree(folder)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release of any version of PMLM."""
    found: dict[str, Any] = json.loads((folder / releases.MANIFEST).read_text())
    return found


def _find_model(settings: Settings, folder: Path) -> Path:
    """Where BentoML's store has a release's files, if it still has them."""
    stated = _read_manifest(folder)
    return bento.bento_home(settings) / "models" / releases.MODEL_NAME / f"{stated['night']}-{stated['id']}"


def _replace_model(model: Path, release: Path) -> None:
    """Put a release's files into a model of the store, all but BentoML's own description of it."""
    for path in model.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != MODEL_DESCRIPTION:
            path.unlink()
    shutil.copytree(release.resolve(), model, dirs_exist_ok=True)


def _ranks_by(arrays: Path, subjects: frozenset[int]) -> bool:
    return arrays.exists() and bool(subjects & set(load_file(arrays)["subjects"].tolist()))


def _read_ids(listing: Listing, file: str, key: str) -> Iterator[str]:
    for name, path in listing.items():
        if Path(name).name == file and (found := json.loads(path.read_text()).get(key)):
            yield str(found)
