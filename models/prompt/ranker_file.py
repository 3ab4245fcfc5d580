"""Save and load what the initial ranking has learned.

    id = "ranker-" + SHA-256(ranker.json without id, ranker.safetensors)[:12 hex digits]

``ranker.json`` has the columns' names, the weights and k; ``ranker.safetensors`` the sparse interactions, question
vectors, and patients as the keyed hashes that they are everywhere. No text is in it, and nothing is executed when it
is loaded. Columns are facts of at least k patients.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as parse_arrays
from safetensors.numpy import save as arrays_to_bytes
from scipy import sparse

from models.peers.recommendation import build_recommender
from models.prompt.ranking import FEATURES, Ranker

DESCRIPTION, ARRAYS = "ranker.json", "ranker.safetensors"
_MATRICES = ("seen", "taken")


class RankerError(ValueError):
    """A ranker's folder is incomplete, altered or of another version."""


def save_ranker(folder: Path, ranker: Ranker) -> str:
    """Write a ranker into ``folder`` (created if absent); return its id. Equal rankers give equal bytes."""
    found = ranker.recommender
    arrays: dict[str, np.ndarray] = {
        "questions": found.questions,
        "subjects": found.subjects,
        "times": found.times,
    }
    for name in _MATRICES:
        matrix = sparse.csr_array(getattr(found, name))
        arrays[f"{name}.indptr"] = matrix.indptr.astype(np.int32)
        arrays[f"{name}.indices"] = matrix.indices.astype(np.int32)
        arrays[f"{name}.data"] = matrix.data.astype(np.float32)
    description: dict[str, Any] = {
        "k": found.k,
        "columns": sorted(found.columns, key=found.columns.__getitem__),
        "features": list(FEATURES),
        "weights": list(ranker.weights),
    }
    content = arrays_to_bytes({name: np.ascontiguousarray(a) for name, a in sorted(arrays.items())})
    id_ = _identify(description, content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ARRAYS).write_bytes(content)
    (folder / DESCRIPTION).write_text(json.dumps(description | {"id": id_}, indent=2, sort_keys=True) + "\n")
    return id_


def read_id(folder: Path) -> str | None:
    """Read the id of the ranker in ``folder``; None where there is none."""
    path = folder / DESCRIPTION
    return str(json.loads(path.read_text())["id"]) if path.exists() else None


def load_ranker(folder: Path) -> Ranker | None:
    """Load the ranker in ``folder``; None where there is none: the clinic had nothing to learn from.

    A feature that a ranker of an earlier version did not have weighs nothing in it.
    """
    if not (folder / DESCRIPTION).exists():
        return None
    description = json.loads((folder / DESCRIPTION).read_text())
    id_, content = description.pop("id"), (folder / ARRAYS).read_bytes()
    if _identify(description, content) != id_:
        raise RankerError(f"the ranker in {folder} is not the one it was saved as")
    weights = dict(zip(description["features"], description["weights"], strict=True))
    if not set(weights) <= set(FEATURES):
        raise RankerError(f"the ranker in {folder} was made by another version: run `pmlm stage episodes`")
    arrays = parse_arrays(content)
    columns = tuple(description["columns"])
    shape = (len(arrays["questions"]), len(columns))
    seen, taken = (
        sparse.csr_array((arrays[f"{n}.data"], arrays[f"{n}.indices"], arrays[f"{n}.indptr"]), shape=shape)
        for n in _MATRICES
    )
    recommender = build_recommender(
        description["k"], columns, arrays["questions"], arrays["subjects"], arrays["times"], seen, taken
    )
    return Ranker(recommender, tuple(weights.get(name, 0.0) for name in FEATURES), id=id_)


def remove_patients(files: Mapping[str, bytes], subjects: Collection[int]) -> dict[str, bytes] | None:
    """A ranker's files without some patients' replies; None where it has none of them.

    Facts of fewer than k other patients are left out; without any fact left there is no ranker, hence no file. Works
    for rankers of other versions too: only what is about replies is read.
    """
    if not {DESCRIPTION, ARRAYS} <= files.keys():
        return None
    description, arrays = json.loads(files[DESCRIPTION]), parse_arrays(files[ARRAYS])
    others = ~np.isin(arrays["subjects"], sorted(subjects))
    if others.all():
        return None
    shape = (len(arrays["subjects"]), len(description["columns"]))
    found = {
        n: sparse.csr_array((arrays[f"{n}.data"], arrays[f"{n}.indices"], arrays[f"{n}.indptr"]), shape=shape)[others]
        for n in _MATRICES
    }
    owners = arrays["subjects"][others]
    known = (found["seen"].toarray() > 0) if len(owners) else np.zeros((0, shape[1]), bool)
    donors = np.zeros(shape[1], int)
    for subject in np.unique(owners):
        donors += known[owners == subject].any(axis=0)
    columns = np.flatnonzero(donors >= description["k"])
    if not len(columns):
        return {}
    arrays |= {name: arrays[name][others] for name in ("questions", "subjects", "times")}
    for name, matrix in found.items():
        part = sparse.csr_array(matrix[:, columns])
        part.sort_indices()
        arrays[f"{name}.indptr"] = part.indptr.astype(np.int32)
        arrays[f"{name}.indices"] = part.indices.astype(np.int32)
        arrays[f"{name}.data"] = part.data.astype(np.float32)
    description = {n: value for n, value in description.items() if n != "id"}
    description["columns"] = [description["columns"][i] for i in columns]
    content = arrays_to_bytes({name: np.ascontiguousarray(a) for name, a in sorted(arrays.items())})
    stated = description | {"id": _identify(description, content)}
    return {ARRAYS: content, DESCRIPTION: (json.dumps(stated, indent=2, sort_keys=True) + "\n").encode()}


def _identify(description: dict[str, Any], content: bytes) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode() + content).hexdigest()
    return f"ranker-{digest[:12]}"
