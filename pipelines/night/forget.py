"""Erase a patient from all that the clinic's state has: ``pmlm forget``.

``erased/pending.json`` names the patient while the erasure runs, and no longer. A killed one is finished by the next
run, which may also be a night's; every step finds what is left to do by itself. Order: the tombstone, by which the
intake refuses the patient; what the endpoint reads; what it wrote; what is found by the event log; saved nights and
event log; the release.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

import polars as pl

from bentos.auth import audit, audit_erasure
from bentos.personalizer import explanations
from pipelines import splits, tombstones
from pipelines.erasure import caches, endpoint_logs, quarantine_rows, releases, workspace_files
from pipelines.erasure.byte_search import Traces, find_traces
from pipelines.erasure.stage_outputs import EPISODES, Erasure
from pipelines.night import saved_objects, stages
from pipelines.night.saved_objects import SavedObjects
from pipelines.night.workspace import lock_workspace
from pipelines.packaging import serving
from pipelines.params import load_params
from pipelines.records.log import event_log, ledger
from pipelines.runs import replace_hashes
from pipelines.tombstones import Tombstone
from pmlm.errors import UnknownPatientError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

CHALLENGER, TRAJECTORY = "models/challenger", "models/trajectory"
Report = Callable[[str, int], None]
"""Takes what was erased and how many of it."""


@dataclass(slots=True)
class Forgotten:
    """What an erasure did: counts by place, the tombstone, and the files that still name the patient."""

    erased: dict[str, int] = field(default_factory=dict)
    tombstone: Tombstone | None = None
    left: list[str] = field(default_factory=list)


def forget_patient(settings: Settings, reference: str, by: str, why: str, report: Report) -> Forgotten:
    """Erase a patient, given as ``Patient/<id>`` or ``subject:<number>``; a second time finds nothing.

    UnknownPatientError for a patient whom neither the state nor a tombstone knows.
    """
    subject = settings.subject_id(reference)
    with lock_workspace(settings):
        finish_pending(settings, report)
        if tombstones.find_tombstone(settings, subject) is None and not find_places(settings, reference):
            raise UnknownPatientError(f"{reference} is not known to {settings.clinic}: nothing to forget")
        stated = {"subject": subject, "by": by, "why": why, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        write_json(_pending_path(settings), stated)
        done = _run(settings, report)
        done.left = find_places(settings, reference)
    serving.switch_to_current_release(settings)
    return done


def finish_pending(settings: Settings, report: Report = lambda what, count: None) -> int:
    """Finish an erasure that was killed, and erase again whom a restored night has brought back; return how many."""
    finished = 0
    with lock_workspace(settings):
        if _pending_path(settings).exists():
            _run(settings, report)
            finished += 1
        for subject in _find_returned(settings):
            former = tombstones.find_tombstone(settings, subject)
            stated = asdict(former) if former else {}
            write_json(_pending_path(settings), {"subject": subject, **{n: stated[n] for n in ("by", "why", "at")}})
            _run(settings, report)
            finished += 1
    return finished


def find_places(settings: Settings, reference: str) -> list[str]:
    """The files that name the patient, below ``PMLM_HOME``."""
    subject = settings.subject_id(reference)
    numbers = endpoint_logs.list_pseudonyms(settings, frozenset({subject})) | {audit.patient_hash(settings, subject)}
    ident = "" if reference.startswith("subject:") else reference.rsplit("/", 1)[-1].removeprefix("urn:uuid:")
    return [str(path) for path in find_traces(settings, Traces(frozenset(numbers), ident))]


def _run(settings: Settings, report: Report) -> Forgotten:
    pending = read_json(_pending_path(settings))
    done = Forgotten()
    for what, count in _erase(settings, pending["subject"], pending):
        done.erased[what] = done.erased.get(what, 0) + count
        report(what, count)
    done.tombstone = tombstones.find_tombstone(settings, pending["subject"])
    write_json(_checked_path(settings), _list_checked(settings))
    _pending_path(settings).unlink()
    return done


def _erase(settings: Settings, subject: int, stated: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Yield each kind of what was erased with its number, when it is."""
    from pipelines.features.online import removal  # imports Feast, which takes seconds

    subjects, workspace = frozenset({subject}), settings.workspace
    scratch = tombstones.folder(settings) / "objects"
    shutil.rmtree(scratch, ignore_errors=True)
    objects = SavedObjects(settings, Erasure(subjects, scratch))
    locks = saved_objects.read_locks(workspace)
    models = _find_models(settings, objects, locks, subjects)
    learnt = releases.find_releases(settings, models, subjects)
    names = [folder.name for folder in learnt]
    tombstone = Tombstone("", stated["at"], stated["by"], stated["why"], sorted(names), sorted(models))
    tombstone = tombstones.add_tombstone(settings, subject, tombstone)
    yield "rows of the online store", removal.remove_patients(settings, subjects)
    yield from _erase_logs(settings, subjects)
    yield "quarantined records", quarantine_rows.erase_raw_lines(settings, subjects)
    batches = ledger.list_batches(settings)
    events = event_log.scan_batches(batches).filter(pl.col("subject_id") == subject)
    records = events.select(pl.col("record").unique()).collect()["record"].to_list()
    yield "files of names and versions", quarantine_rows.erase_hashes(settings, subjects, batches)
    own = [path for name, path in workspace_files.list_out(workspace / EPISODES).items() if name.endswith(".parquet")]
    scores = caches.erase_scores(settings, subjects, [*objects.list_episode_files(locks.values()), *own])
    yield "cached scores", scores + caches.erase_choices(settings, records)
    yield "cached vectors", caches.erase_vectors(settings)
    objects.rewrite(locks.values())
    moved = saved_objects.move_references(settings, objects)
    replace_hashes(settings, moved | {old: new["md5"] for (_, old), new in objects.replaced.items()})
    yield "saved nights", len(moved)
    yield "files of DVC's cache and remote", saved_objects.delete_obsolete(settings, objects)
    saved_objects.forget_commits(workspace)
    shutil.rmtree(scratch, ignore_errors=True)
    changed = workspace_files.erase_outputs(settings, subjects)
    yield "files of events, features and episodes", changed
    yield "tables of drift", _erase_drift_tables(settings)
    yield "releases", _renew_release(settings, set(tombstone.releases))
    yield from filter(itemgetter(1), _erase_logs(settings, subjects))  # what a running endpoint has written since


def _erase_logs(settings: Settings, subjects: frozenset[int]) -> Iterator[tuple[str, int]]:
    yield "feedback texts", endpoint_logs.erase_texts(settings, subjects)
    yield "lines of interactions and feedback", endpoint_logs.erase_lines(settings, subjects)
    yield "explanations", explanations.erase_patients(settings, subjects)
    yield "lines of the audit record", audit_erasure.erase_patients(settings, subjects)


def _find_models(
    settings: Settings, objects: SavedObjects, locks: dict[str, saved_objects.Lock], subjects: frozenset[int]
) -> set[str]:
    """The models of the saved nights and of the workspace that learnt from the patients."""
    outs = (EPISODES, CHALLENGER, TRAJECTORY)
    trained = [{out: workspace_files.list_out(settings.workspace / out) for out in outs}]
    for lock in locks.values():
        saved = saved_objects.list_outs(lock)
        trained.append({out: objects.read_listing(saved[out]) if out in saved else {} for out in outs})
    split = load_params(settings).episodes.split
    if not any(splits.assign_patient(subject, split) == splits.TRAIN for subject in subjects):
        return set()
    found = (releases.find_models(one[EPISODES], one[CHALLENGER], one[TRAJECTORY], subjects) for one in trained)
    return {model for of_one in found for model in of_one}


def _erase_drift_tables(settings: Settings) -> int:
    """Delete the nights' tables, which the next drift stage builds again without the patient."""
    found = list((settings.workspace / "monitoring").glob("*/*.parquet"))
    for path in found:
        path.unlink()
    return len(found)


def _renew_release(settings: Settings, learnt: set[str]) -> int:
    """Learn drafts again and package the champion; delete the other releases that had learnt from the patient."""
    nights = [entry.night for entry in ledger.read_entries(settings)]
    link = serving.current_release(settings)
    if link.exists() and nights and (link.resolve().name in learnt or not releases.names_batches(settings, link)):
        if (settings.models / "drafts").exists():
            stages.execute_stage(settings, nights[-1], "drafts")
        stages.execute_stage(settings, nights[-1], "package")
    current = link.resolve()
    found = [folder for folder in releases.list_releases(settings) if folder.name in learnt and folder != current]
    for folder in found:
        releases.delete_release(settings, folder)
    return len(found)


def _find_returned(settings: Settings) -> list[int]:
    """The erased patients who are in the event log again: a night was restored from elsewhere."""
    erased = tombstones.ErasedPatients(settings)
    if not len(erased):
        return []
    path = _checked_path(settings)
    checked = set(read_json(path)) if path.exists() else set()
    fresh = [batch for batch in ledger.list_batches(settings) if batch.name not in checked]
    subjects = event_log.scan_batches(fresh).select(pl.col("subject_id").unique()).collect(engine="streaming")
    returned = sorted(subject for subject in subjects["subject_id"].to_list() if subject in erased)
    if fresh and not returned:
        write_json(path, _list_checked(settings))
    return returned


def _list_checked(settings: Settings) -> list[str]:
    return sorted(batch.name for batch in ledger.list_batches(settings))


def _checked_path(settings: Settings) -> Path:
    """The batches that were searched for erased patients; they are named by content."""
    return tombstones.folder(settings) / "checked.json"


def _pending_path(settings: Settings) -> Path:
    return tombstones.folder(settings) / "pending.json"
