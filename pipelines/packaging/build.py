"""Save a release as BentoML model and bento, and delete old ones.

Run as ``python -m pipelines.packaging.build`` in its own process: BentoML reads ``BENTOML_HOME`` once per process
and changes the working directory while it builds.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from pathlib import Path

import bentoml
from bentoml.exceptions import NotFound

from bentos.personalizer import release as releases
from pipelines.packaging.requirements import list_serve_requirements

SERVICE = "bentos.service:PMLM"


def save_model(release: releases.Release, folder: Path) -> None:
    """Save ``folder`` (the whole release) as a BentoML model, replacing what a killed run left."""
    tag = f"{releases.MODEL_NAME}:{release.version}"
    with contextlib.suppress(NotFound):
        bentoml.models.delete(tag)
    with bentoml.models.create(tag, labels={"night": release.night, "release": release.id}) as model:
        shutil.copytree(folder, model.path, dirs_exist_ok=True)


def build_bento(release: releases.Release, source: Path) -> None:
    """Build the bento of ``release`` from ``source``, a folder with only what serving needs."""
    with contextlib.suppress(NotFound):
        bentoml.bentos.delete(release.bento)
    bentoml.bentos.build(
        SERVICE,
        name=releases.BENTO_NAME,
        version=release.version,
        build_ctx=str(source),
        include=["**/*"],
        python={"packages": list_serve_requirements(), "lock_packages": False, "pip_args": "--no-deps"},
        args={"release": release.version},
        labels={"night": release.night, "release": release.id},
    )


def prune_stores(keep: int, current: releases.Release, started: str | None) -> None:
    """Delete all but the current, the ``started`` and the newest ``keep`` bentos, and models without a bento."""
    bentos = sorted(bentoml.bentos.list(releases.BENTO_NAME), key=lambda b: b.info.creation_time, reverse=True)
    versions = {bento.tag.version for bento in bentos[:keep]} | {current.version}
    versions |= {started.partition(":")[2]} if started else set()
    for bento in bentos:
        if bento.tag.version not in versions:
            bentoml.bentos.delete(bento.tag)
    for model in bentoml.models.list(releases.MODEL_NAME):
        if model.tag.version not in versions:
            bentoml.models.delete(model.tag)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument("source", type=Path, help="folder of the code that goes into the bento")
    parser.add_argument("--keep", type=int, required=True, help="how many bentos to keep")
    parser.add_argument("--started", help="the bento with which a running endpoint was started: it stays")
    arguments = parser.parse_args()
    release = releases.read_release(arguments.release)
    save_model(release, arguments.release)
    build_bento(release, arguments.source)
    prune_stores(arguments.keep, release, arguments.started)


if __name__ == "__main__":
    main()
