"""Find the manifest of every release ever made, its files there or not."""

from __future__ import annotations

from pathlib import Path

from bentos.personalizer.release import BENTO_NAME, MANIFEST, REFINER, Release, read_release
from pipelines.packaging import serving
from pipelines.packaging.bento import bento_home
from pmlm.settings import Settings
from pmlm.storage import write_json


def store_manifest(settings: Settings, release: Release) -> None:
    """Store a release's manifest where no pruning of releases removes it."""
    write_json(_folder(settings) / f"{release.id}.json", release.model_dump())


def list_manifests(settings: Settings) -> dict[str, Release]:
    """The manifest of each known release by its id, in order of night."""
    found = {release.id: release for release in map(_read_file, _folder(settings).glob("*.json"))}
    for path in (settings.workspace / "releases").glob(f"[!.]*/{MANIFEST}"):  # of versions that stored none
        release = read_release(path.parent)
        found.setdefault(release.id, release)
    return dict(sorted(found.items(), key=lambda pair: (pair[1].night, pair[0])))


def find_release_folder(settings: Settings, id_: str) -> Path | None:
    """The folder of a release's files; None where it was pruned to its papers."""
    paths = (settings.workspace / "releases").glob(f"[!.]*/{REFINER}")
    return next((path.parent for path in sorted(paths) if read_release(path.parent).id == id_), None)


def find_current(settings: Settings) -> str | None:
    """The id of the current release; None where there is none."""
    folder = serving.current_release(settings)
    return read_release(folder).id if (folder / MANIFEST).exists() else None


def has_bento(settings: Settings, release: Release) -> bool:
    """Whether the clinic's BentoML store still has the release's bento."""
    return (bento_home(settings) / "bentos" / BENTO_NAME / release.version).is_dir()


def _folder(settings: Settings) -> Path:
    return settings.workspace / "lineage" / "releases"


def _read_file(path: Path) -> Release:
    return Release.model_validate_json(path.read_bytes())
