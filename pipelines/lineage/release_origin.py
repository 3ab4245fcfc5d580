"""Trace a release back: bento, refiner, experiment, parameters, episodes, event batches, drops.

What can be checked is: a batch's bytes and a drop's bytes are hashed again and compared with what was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.lineage.source_lines import list_present_drops, load_codes
from pipelines.lineage.trained_nights import SavedExperiment, find_training_night, read_experiment, read_summary
from pipelines.packaging import stored_releases
from pipelines.records.drops import hash_drop
from pipelines.records.log import ledger
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json

CHAMPION = "champion.json"


@dataclass(frozen=True, slots=True)
class BatchOrigin:
    """An event batch and its drop; ``intact``: has the recorded bytes, None where there is nothing to hash."""

    batch: str
    sha256: str
    intact: bool | None
    night: str
    drop: str
    drop_sha256: str
    drop_intact: bool | None


@dataclass(frozen=True, slots=True)
class RefinerOrigin:
    """A refiner: when it was trained, from which experiment, and whether it continued an earlier one.

    ``start`` is ``warm start`` or ``champion``; None for a refiner that learns nothing, or of an unknown training.
    """

    id: str
    kind: str
    weights: str | None
    trained: str | None
    start: str | None
    experiment: SavedExperiment | None
    episodes: str | None
    continued: tuple[RefinerOrigin, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseOrigin:
    """Everything behind a release; ``files`` and ``bento_stored`` say what of it is still there."""

    id: str
    night: str
    files: bool
    bento: str
    bento_stored: bool
    refiner: RefinerOrigin
    encoder: str
    ranker: str | None
    template: str
    feature_service: str
    feature_schema: str
    llm: str
    experiment: SavedExperiment
    params: dict[str, dict[str, Any]]
    episodes: str | None
    batches: tuple[BatchOrigin, ...]


def trace_release(settings: Settings, id_: str) -> ReleaseOrigin | None:
    """Trace a release back; None for one of which there is no manifest."""
    release = stored_releases.list_manifests(settings).get(id_)
    if release is None:
        return None
    return ReleaseOrigin(
        id=release.id,
        night=release.night,
        files=stored_releases.find_release_folder(settings, release.id) is not None,
        bento=release.bento,
        bento_stored=stored_releases.has_bento(settings, release),
        refiner=trace_refiner(settings, release.refiner, release.refiner_kind),
        encoder=release.encoder,
        ranker=release.ranker,
        template=release.template,
        feature_service=release.feature_service,
        feature_schema=release.feature_schema,
        llm=release.llm,
        experiment=read_experiment(settings, release.night),
        params=release.params,
        episodes=release.episodes,
        batches=tuple(trace_batches(settings, release.events)),
    )


def trace_refiner(settings: Settings, id_: str, kind: str) -> RefinerOrigin:
    """Trace a refiner to its training, and through the champions that it continued."""
    weights = _hash_weights(settings, id_)
    night = find_training_night(settings, weights) if weights else None
    if night is None:
        return RefinerOrigin(id_, kind, weights, None, None, None, None)
    start = (read_summary(settings, night, "train") or {}).get("figures", {}).get("start")
    episodes = (read_summary(settings, night, "episodes") or {}).get("hashes", {}).get("episodes")
    former = _find_former(settings, id_) if start == "champion" else None
    continued = (trace_refiner(settings, former, kind),) if former else ()
    return RefinerOrigin(id_, kind, weights, night, start, read_experiment(settings, night), episodes, continued)


def list_trainings(refiner: RefinerOrigin) -> list[SavedExperiment]:
    """The experiments on whose episodes a refiner learnt: its own, and those of the refiners that it continued."""
    own = [refiner.experiment] if refiner.experiment else []
    return own + [experiment for former in refiner.continued for experiment in list_trainings(former)]


def trace_batches(settings: Settings, events: dict[str, dict[str, str]]) -> list[BatchOrigin]:
    """Trace a release's event batches to their drops, and hash both again."""
    digest, drops = load_codes(settings).digest, {drop.night: drop for drop in list_present_drops(settings)}
    nights = {name: entry.night for entry in ledger.read_entries(settings) for name in entry.batches}
    contents = {night: hash_drop(drop, digest) for night, drop in drops.items() if night in nights.values()}
    found = []
    for name, stated in sorted(events.items()):
        path, night = settings.events / name, nights.get(name, name[: len("YYYYMMDD")])
        drop, content = drops.get(night), contents.get(night)
        found.append(
            BatchOrigin(
                batch=name,
                sha256=stated["sha256"],
                intact=hash_files([path]) == stated["sha256"] if path.exists() else None,
                night=night,
                drop=drop.path.name if drop else "",
                drop_sha256=stated["drop"],
                drop_intact=None if content is None else content == stated["drop"],
            )
        )
    return found


def _hash_weights(settings: Settings, id_: str) -> str | None:
    """The hash of a champion's weights, as its training recorded it; None for one without weights or files."""
    folder = _find_champion(settings, id_)
    weights = folder / "policy.safetensors" if folder else None
    return hash_files([weights]) if weights and weights.exists() else None


def _find_former(settings: Settings, id_: str) -> str | None:
    """The champion before this one, which its training continued."""
    folder = _find_champion(settings, id_)
    previous = read_json(folder / CHAMPION)["previous"] if folder else []
    return str(previous[-1]) if previous else None


def _find_champion(settings: Settings, id_: str) -> Path | None:
    """The folder of the present or a former champion; without ``training.champion``, which takes seconds to import."""
    folders = (settings.models / "champion", settings.models / "registry" / id_)
    return next((f for f in folders if (f / CHAMPION).exists() and read_json(f / CHAMPION)["id"] == id_), None)
