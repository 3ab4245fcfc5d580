"""List a clinic's releases, find one by name, compare two: parameters, figures, schema, prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentos.personalizer.release import MANIFEST, REFINER, Release, read_release
from bentos.personalizer.release_files import check_release_files
from feature_repo.store import services
from pipelines.packaging.papers.fixed_cases import compare_prompts
from pipelines.packaging.papers.papers import EVALUATION, PROMPTS, VERDICT
from pipelines.packaging.serving import current_release
from pipelines.training.champion_history import read_history
from pmlm.errors import ServingError
from pmlm.settings import Settings
from pmlm.storage import read_json

SCHEMA = ("encoder", "template", "feature_service", "feature_schema", "ranker", "llm", "refiner", "refiner_kind")


@dataclass(frozen=True, slots=True)
class ListedRelease:
    """A release as the list shows it; ``whole`` is False where its papers alone are left."""

    id: str
    version: str
    night: str
    refiner: str
    refiner_version: str
    verdict: str
    why: str
    whole: bool
    current: bool


def list_releases(settings: Settings) -> list[ListedRelease]:
    """List all releases, oldest first."""
    current, versions = current_release(settings).resolve(), _read_versions(settings)
    found = []
    for folder in _list_folders(settings):
        made, verdict = read_release(folder), _read(folder / VERDICT)
        found.append(
            ListedRelease(
                id=made.id,
                version=made.version,
                night=made.night,
                refiner=made.refiner,
                refiner_version=versions.get(made.refiner, ""),
                verdict=verdict.get("decision", ""),
                why=verdict.get("why", ""),
                whole=(folder / REFINER).is_dir(),
                current=folder == current,
            )
        )
    return found


def find_release(settings: Settings, name: str) -> Path:
    """Find the newest release by id or its beginning, version, night, refiner, refiner's version, or ``current``."""
    versions = _read_versions(settings)
    if name == "current" and current_release(settings).exists():
        return current_release(settings).resolve()
    for folder in reversed(_list_folders(settings)):
        made = read_release(folder)
        names = {made.version, made.night, made.refiner, versions.get(made.refiner)}
        if name in names or (len(name) >= 4 and made.id.startswith(name)):
            return folder
    raise ServingError(f"there is no release {name}: `pmlm releases` lists them")


def find_whole_release(settings: Settings, refiner: str) -> Path | None:
    """Find the newest release of a refiner that can be served as it is; None where its papers alone are left."""
    for folder in reversed(_list_folders(settings)):
        made = read_release(folder)
        if made.refiner == refiner and made.feature_schema == services.hash_schema() and (folder / REFINER).is_dir():
            return folder
    return None


def compare_releases(before: Path, after: Path) -> dict[str, Any]:
    """Compare two releases; every part holds what differs alone, as a pair."""
    old, new = read_release(before), read_release(after)
    prompts = (_read(before / PROMPTS), _read(after / PROMPTS))
    return {
        "releases": [old.version, new.version],
        "schema": _differ({n: getattr(old, n) for n in SCHEMA}, {n: getattr(new, n) for n in SCHEMA}),
        "params": _differ(dict(_flatten(old.params)), dict(_flatten(new.params))),
        "data": _differ(_describe_data(old), _describe_data(new)),
        "figures": _differ(_read_figures(before), _read_figures(after)),
        "prompts": compare_prompts(*prompts) if all(prompts) else [],
    }


def find_damage(settings: Settings) -> Iterator[str]:
    """Yield what is not as released, one finding a whole release."""
    for folder in _list_folders(settings):
        if (folder / REFINER).is_dir():
            try:
                check_release_files(settings, folder)
            except ServingError as error:
                yield f"release {folder.name}: {error}"


def _list_folders(settings: Settings) -> list[Path]:
    """The releases' folders, oldest first."""
    root = current_release(settings).parent
    found = [m.parent for m in root.glob(f"*/{MANIFEST}") if not m.parent.is_symlink() and m.parent.name[0] != "."]
    return sorted((f.resolve() for f in found), key=lambda f: ((f / MANIFEST).stat().st_mtime, f.name))


def _read_versions(settings: Settings) -> dict[str, str]:
    return {change.after: change.version for change in read_history(settings)}


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _describe_data(release: Release) -> dict[str, Any]:
    return {
        "night": release.night,
        "as_of": release.as_of,
        "episodes": release.episodes,
        "batches": len(release.events),
    }


def _read_figures(folder: Path) -> dict[str, Any]:
    rows = {f"{row['split']} {row['name']}": row["value"] for row in _read(folder / EVALUATION).get("rows", ())}
    verdict = _read(folder / VERDICT)
    return rows | {f"verdict {name}": verdict.get(name) for name in ("decision", "value", "ci_low", "ci_high")}


def _flatten(params: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for section, values in params.items():
        for name, value in values.items():
            if section != "night":  # which night it is stands under data
                yield f"{section}.{name}", value


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = sorted({*before, *after})
    return {n: [before.get(n), after.get(n)] for n in names if before.get(n) != after.get(n)}
