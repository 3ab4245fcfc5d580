"""Bring the shipped night into the sample clinic's workspace, ready to be served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.night import night
from pipelines.night.finished.archive import ARCHIVE, MARK, unpack_night
from pipelines.night.workspace import lock_workspace
from pmlm.settings import Settings
from pmlm.storage import read_json


def restore_finished_night(settings: Settings, source: Path = ARCHIVE) -> Iterator[str]:
    """Unpack the night where the clinic has none, and make what serves it; yields what is being done.

    A step that is done already is passed over, so a killed call is simply repeated.
    """
    if not night.list_nights(settings):
        yield "unpacking a finished night"
        with lock_workspace(settings):
            unpack_night(settings, source)
    if read_unpacked_night(settings) is None or (settings.workspace / "releases" / "current").exists():
        return
    for name, doing in (("materialise", "filling the online feature store"), ("package", "packaging the release")):
        yield doing
        night.run_stage(settings, name)


def read_unpacked_night(settings: Settings) -> str | None:
    """The night that was unpacked here; None where a night was run."""
    path = settings.workspace / MARK
    return str(read_json(path)["night"]) if path.exists() else None
