"""Package the champion and the versions of its inputs as folder, BentoML model and bento.

``releases/<id>/`` is named by its content. ``releases/current`` moves last, in one step, and only to a release whose
bento is built, so that a served release is always complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from bentos.personalizer.release import DRAFTS, MANIFEST, RANKER, REFINER, Release
from bentos.personalizer.release_files import SUMS
from feature_repo.store import services
from models.drafts import catalogue
from models.encoder import MiniLM
from models.prompt import ranker_file
from models.refiner import checkpoint
from models.templates import TEMPLATE_VERSION
from pipelines.episodes import peer_outcomes, recommend
from pipelines.packaging import bento, serving, signing, stored_releases
from pipelines.packaging.papers import papers
from pipelines.packaging.requirements import list_serve_requirements
from pipelines.params import load_params
from pipelines.records.log import ledger
from pipelines.runs import StageSummary, stage_run
from pmlm.errors import ServingError
from pmlm.settings import Settings
from pmlm.storage import hash_files, write_json


def run(settings: Settings, night: str) -> StageSummary:
    """Package the champion as the release of ``night`` and make it the current one."""
    with stage_run(settings, night, "package") as summary:
        release = compose_release(settings, night)
        stored_releases.store_manifest(settings, release)
        folder = write_release(settings, release)
        bento.run_bento_build(settings, folder, serving.read_started_bento(settings))
        point_link(serving.current_release(settings), folder)
        prune_releases(settings)
        summary.rows_in = len(release.events)
        summary.rows_out = 1
        summary.hashes = {"release": release.id, "refiner": hash_files([folder / REFINER])}
        summary.figures = {"bento": release.bento, "refiner": release.refiner, "kind": release.refiner_kind}
    return summary


def compose_release(settings: Settings, night: str) -> Release:
    """Compose this night's ``release.json``; :class:`ServingError` where there is no champion yet."""
    champion = settings.models / "champion"
    if not (champion / checkpoint.DESCRIPTION).exists():
        raise ServingError("there is no champion to package: run `pmlm gate` (or `pmlm night`)")
    refiner = checkpoint.read_description(champion)
    ranker = recommend.ranker_folder(settings)
    content = {
        "night": night,
        "experiment": f"night-{night}",
        "as_of": settings.now().isoformat(),
        "refiner": refiner["id"],
        "refiner_kind": refiner["kind"],
        "encoder": MiniLM.id,
        "template": TEMPLATE_VERSION,
        "feature_service": services.SERVICE,
        "feature_schema": services.hash_schema(),
        "ranker": ranker_file.read_id(ranker),
        "llm": settings.llm_name if settings.llm_base_url else Path(settings.llm_model).name,
        "params": load_params(settings).model_dump(),
        "episodes": hash_files([settings.episodes]) if settings.episodes.exists() else None,
        "events": hash_batches(settings),
    }
    files = [champion, *([drafts] if (drafts := settings.models / "drafts").exists() else [])]
    canonical = json.dumps(content | {"files": hash_files(files)}, sort_keys=True)
    return Release(id=hashlib.sha256(canonical.encode()).hexdigest()[:12], **content)


def hash_batches(settings: Settings) -> dict[str, dict[str, str]]:
    """Event batch in the ledger → its own hash and the content hash of its drop."""
    return {
        name: {"sha256": hash_files([settings.events / name]), "drop": entry.content}
        for entry in ledger.read_entries(settings)
        for name in sorted(entry.batches)
    }


def write_release(settings: Settings, release: Release) -> Path:
    """Write ``releases/<id>`` as a whole, with its papers, signed; an existing one is the same release."""
    folder = settings.workspace / "releases" / release.id
    if (folder / REFINER).exists() and (folder / SUMS).exists():
        return folder
    part = folder.with_name(f".{release.id}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(settings.models / "champion", part / REFINER)
    if release.ranker is not None:
        shutil.copytree(recommend.ranker_folder(settings), part / RANKER)
    if (findings := peer_outcomes.findings_path(settings)).exists():
        shutil.copy2(findings, part)
    drafts = settings.models / "drafts" / catalogue.FILE
    if drafts.exists():
        (part / DRAFTS).mkdir()
        shutil.copy2(drafts, part / DRAFTS)
    write_json(part / MANIFEST, release.model_dump())
    current = serving.current_release(settings)
    former = current if current.exists() else None
    papers.write_papers(settings, release, part, former, list_serve_requirements())
    signing.sign_release(settings, part, release.version)
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier version, or its papers alone
    part.rename(folder)
    return folder


def point_link(link: Path, folder: Path) -> None:
    """Make ``link`` a symlink to its sibling ``folder`` in one step."""
    part = link.with_name(f".{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(folder.name)
    part.replace(link)


def prune_releases(settings: Settings) -> None:
    """Delete the artefacts of all but the newest releases, as many as bentos, never the current one's; papers stay."""
    current = serving.current_release(settings).resolve()
    folders = [f for f in current.parent.iterdir() if (f / REFINER).is_dir() and not f.is_symlink()]
    whole = [f for f in folders if not f.name.startswith(".")]
    for folder in sorted(whole, key=lambda f: f.stat().st_mtime, reverse=True)[bento.KEEP :]:
        if folder.resolve() != current:
            for part in (RANKER, DRAFTS, REFINER):  # the refiner last: without it the release is not whole
                shutil.rmtree(folder / part, ignore_errors=True)
