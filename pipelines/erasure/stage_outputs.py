"""Rewrite the outputs of stages without some patients, in workspace and saved nights.

A listing has the files of one out of ``dvc.yaml`` by name. What is rewritten is written into a scratch folder; nothing
that is listed is changed. Equal files are rewritten to equal bytes, wherever they lie.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import file_digest
from itertools import count
from pathlib import Path

from models.drafts import catalogue
from models.drafts.catalogue import DraftCatalogue
from models.prompt import ranker_file
from pipelines.erasure.parquet_rows import copy_without, has_patients, read_metadata, select_others
from pipelines.features.engines.feature_files import METADATA_KEY

Listing = dict[str, Path]

EVENTS, LEDGER, FEATURES, EPISODES = "data/events", "data/ledger", "data/features", "data/episodes"
DRAFTS = "models/drafts"
_RANKER = "ranker/"


@dataclass(frozen=True, slots=True)
class Erasure:
    """Whom to erase, and how event batches are called without them: old name → new one, "" for an empty batch.

    Names are added as batches are rewritten: those of events come before ledger and features.
    """

    subjects: frozenset[int]
    scratch: Path
    renamed: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def make_path(self) -> Path:
        """A path in the scratch folder that no other file has."""
        self.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.scratch / f"{next(self._numbers)}.part"


def rewrite_out(out: str, listing: Listing, erasure: Erasure) -> Listing:
    """The listing of an out without the patients; the paths of unchanged files are the same.

    ``data/events`` must be rewritten before ``data/ledger`` and ``data/features``. An out that has no rows of patients
    is returned as it is.
    """
    rewrite = _REWRITERS.get(out)
    return rewrite(listing, erasure) if rewrite else listing


def rewrite_events(listing: Listing, erasure: Erasure) -> Listing:
    """Event batches without the patients, named by their content as every batch."""
    rewritten = {}
    for name, path in listing.items():
        if not has_patients(path, erasure.subjects):
            rewritten[name] = path
            continue
        target = erasure.make_path()
        left = copy_without(path, target, select_others(erasure.subjects))
        with target.open("rb") as stream:
            night, digest = name.split("-", 1)[0], file_digest(stream, "sha256").hexdigest()[:12]
        erasure.renamed[name] = f"{night}-{digest}.parquet" if left else ""
        if left:
            rewritten[erasure.renamed[name]] = target
    return rewritten


def rename_batches(names: list[str], erasure: Erasure) -> list[str]:
    """Batches' names as they are called without the patients, without those that are empty."""
    return sorted(filter(None, (erasure.renamed.get(name, name) for name in names)))


def _rewrite_ledger(listing: Listing, erasure: Erasure) -> Listing:
    rewritten = {}
    for name, path in listing.items():
        entry = json.loads(path.read_text())
        batches = rename_batches(entry["batches"], erasure)
        rewritten[name] = path
        if batches != sorted(entry["batches"]):
            rewritten[name] = erasure.make_path()
            rewritten[name].write_text(json.dumps(entry | {"batches": batches}, indent=2, sort_keys=True) + "\n")
    return rewritten


def _rewrite_features(listing: Listing, erasure: Erasure) -> Listing:
    """Feature files without the patients' rows, made of the batches by their new names."""

    def restate(metadata: dict[bytes, bytes]) -> dict[bytes, bytes]:
        stated = json.loads(metadata[METADATA_KEY])
        events = {"events": rename_batches(stated["events"], erasure)}
        return metadata | {METADATA_KEY: json.dumps(stated | events, sort_keys=True).encode()}

    rewritten = {}
    for name, path in listing.items():
        before = dict(read_metadata(path))
        if restate(before) == before and not has_patients(path, erasure.subjects):
            rewritten[name] = path
            continue
        rewritten[name] = erasure.make_path()
        copy_without(path, rewritten[name], select_others(erasure.subjects), restate)
    return rewritten


def _rewrite_episodes(listing: Listing, erasure: Erasure) -> Listing:
    """Episodes without the patients', and the initial ranking without their replies."""
    rewritten = {name: path for name, path in listing.items() if not name.startswith(_RANKER)}
    for name, path in rewritten.items():
        if path.read_bytes()[:4] == b"PAR1" and has_patients(path, erasure.subjects):
            rewritten[name] = erasure.make_path()
            copy_without(path, rewritten[name], select_others(erasure.subjects))
    ranker = {name: path for name, path in listing.items() if name.startswith(_RANKER)}
    return rewritten | rewrite_ranker(ranker, _RANKER, erasure)


def rewrite_ranker(listing: Listing, prefix: str, erasure: Erasure) -> Listing:
    """The files of an initial ranking without the patients' replies; none where too little is left."""
    files = {name.removeprefix(prefix): path for name, path in listing.items()}
    contents = {name: path.read_bytes() for name, path in files.items()}
    changed = ranker_file.remove_patients(contents, erasure.subjects)
    if changed is None:
        return listing
    rewritten = {}
    for name, content in changed.items():
        rewritten[prefix + name] = erasure.make_path()
        rewritten[prefix + name].write_bytes(content)
    return rewritten


def empty_drafts(listing: Listing, erasure: Erasure, k: int) -> Listing:
    """An empty catalogue of drafts in place of one that may have been learnt from the patients."""
    rewritten = {name: path for name, path in listing.items() if name != catalogue.FILE}
    empty = catalogue.dump_catalogue(DraftCatalogue((), (), (), k))
    if catalogue.FILE in listing:
        same = listing[catalogue.FILE].read_bytes() == empty
        rewritten[catalogue.FILE] = listing[catalogue.FILE] if same else erasure.make_path()
        if not same:
            rewritten[catalogue.FILE].write_bytes(empty)
    return rewritten


_REWRITERS: dict[str, Callable[[Listing, Erasure], Listing]] = {
    EVENTS: rewrite_events,
    LEDGER: _rewrite_ledger,
    FEATURES: _rewrite_features,
    EPISODES: _rewrite_episodes,
}
