"""What ``pmlm records import`` is pointed at: one drop, one file, or a clinic with all its pending drops."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from pathlib import Path

from pipelines.records.drops import find_newest_date, list_pending, parse_folder_date
from pipelines.records.ingest import import_drop
from pipelines.records.log.ledger import Accounts
from pmlm.errors import RecordsError
from pmlm.settings import Settings


def import_path(settings: Settings, path: Path, day: str | None) -> Accounts:
    """Take in a drop (dated by ``day``, else its folder's name, else its newest file), or all pending ones of a clinic.

    Raises ``RecordsError`` where the path does not exist or ``day`` is no date.
    """
    if not path.exists():
        raise RecordsError(f"{path}: no such file or folder")
    if day is not None and parse_folder_date(day) is None:
        raise RecordsError(f"--date {day}: not a date of the form YYYY-MM-DD")
    if day is None and path.is_dir() and path.resolve() == settings.drops.resolve():
        return sum_accounts([import_drop(settings, d.path, d.date) for d in list_pending(settings)])
    return import_drop(settings, path, _day(path, day))


def _day(path: Path, day: str | None) -> date:
    named = [parse_folder_date(n) for n in (day or "", path.resolve().name, path.resolve().parent.name)]
    return next((d for d in named if d is not None), None) or find_newest_date(path)


def sum_accounts(accounts: list[Accounts]) -> Accounts:
    """The sum of several drops' accounts."""
    whole = Accounts()
    for one in accounts:
        for field in fields(Accounts):
            value, more = getattr(whole, field.name), getattr(one, field.name)
            if isinstance(value, dict):
                more = {k: value.get(k, 0) + more.get(k, 0) for k in sorted({*value, *more})}
            else:
                more = value + more
            setattr(whole, field.name, more)
    return whole
