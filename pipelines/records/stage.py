"""Entry points: ``run``, the first stage of a night, and ``import_path`` behind ``pmlm records import``."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import date
from pathlib import Path

from pipelines.records.drops import find_newest_date, list_drops, list_pending, parse_folder_date
from pipelines.records.feedback import intake
from pipelines.records.ingest import import_drop
from pipelines.records.log import ledger
from pipelines.records.log.ledger import Accounts
from pipelines.records.refusals import REFUSED
from pipelines.records.terminology import translate_drop
from pipelines.runs import StageSummary, stage_run
from pmlm.errors import RecordsError
from pmlm.settings import Settings
from pmlm.storage import hash_files
from pmlm.workspace_lock import lock_writing


def run(settings: Settings, night: str) -> StageSummary:
    """Import the drop of ``night`` (``YYYYMMDD``) and the feedback on answers since the night before.

    The status is "noop" where the clinic has no drop of that date.
    """
    with stage_run(settings, night, "records") as summary:
        drop = next((d for d in list_drops(settings) if d.night == night), None)
        if drop is None:
            summary.status, summary.detail = "noop", "the clinic has no drop of that date"
            return summary
        summary.detail = translate_drop(settings, drop.path)
        accounts = import_drop(settings, drop.path, drop.date)
        if refused := accounts.ignored_types.get(REFUSED, 0):
            summary.detail = "; ".join(filter(None, [summary.detail, f"{refused} records of erased patients refused"]))
        summary.rows_in, summary.rows_out = accounts.read, accounts.events
        summary.quarantined = accounts.quarantined
        summary.figures = asdict(accounts)
        if (counts := intake.ingest_feedback(settings, night)) is not None:
            summary.figures["feedback"] = asdict(counts)
            summary.rows_out += counts.events
        entry = ledger.read_entry(settings, night)
        summary.hashes = {"drop": entry.content, "events": hash_files(ledger.list_batches(settings))} if entry else {}
    return summary


def import_path(settings: Settings, path: Path, day: str | None) -> Accounts:
    """Import a drop or a single file, or all pending drops of a clinic's folder.

    A drop is dated by ``day``, else by its folder's name, else by its newest file. Raises ``RecordsError`` where the
    path does not exist or ``day`` is no date.
    """
    if not path.exists():
        raise RecordsError(f"{path}: no such file or folder")
    if day is not None and parse_folder_date(day) is None:
        raise RecordsError(f"--date {day}: not a date of the form YYYY-MM-DD")
    with lock_writing(settings):
        if day is None and path.is_dir() and path.resolve() == settings.drops.resolve():
            return _sum_accounts([import_drop(settings, d.path, d.date) for d in list_pending(settings)])
        return import_drop(settings, path, _find_date(path, day))


def _find_date(path: Path, day: str | None) -> date:
    dates = [parse_folder_date(n) for n in (day or "", path.resolve().name, path.resolve().parent.name)]
    return next((d for d in dates if d is not None), None) or find_newest_date(path)


def _sum_accounts(accounts: list[Accounts]) -> Accounts:
    total = Accounts()
    for one in accounts:
        for field in fields(Accounts):
            value, more = getattr(total, field.name), getattr(one, field.name)
            if isinstance(value, dict):
                more = {k: value.get(k, 0) + more.get(k, 0) for k in sorted({*value, *more})}
            else:
                more = value + more
            setattr(total, field.name, more)
    return total
