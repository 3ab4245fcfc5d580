"""Entry point ``fetch_records``, behind ``pmlm records fetch`` and the scheduled night."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import date

import httpx

from pipelines.fetch.bulk_export import BulkServer, count_errors, end_export, run_export
from pipelines.fetch.remote_folder import copy_new_folders
from pipelines.fetch.smart_token import SmartToken
from pipelines.records.validate.fields import FIELDS
from pmlm.errors import FetchError
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json
from pmlm.workspace_lock import lock_writing

#: The resource types to export: those with fields that are read, and those that others refer to.
TYPES = tuple(sorted({*FIELDS, "Group", "Medication", "Practitioner", "RelatedPerson"}))


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What was fetched; the field names are the keys of ``pmlm records fetch --json``."""

    drops: list[str] = field(default_factory=list)
    files: int = 0
    since: str | None = None
    errors: dict[str, int] = field(default_factory=dict)


def fetch_records(settings: Settings, day: date, everything: bool = False) -> FetchResult:
    """Fetch what is new at ``PMLM_SOURCE`` into the clinic's folder; a second call adds nothing.

    ``everything`` ignores the watermark of the last export. Raises ``FetchError``.
    """
    if settings.source is None:
        raise FetchError("PMLM_SOURCE is not set: name a FHIR server (https://…) or a folder's URL (s3://…)")
    with lock_writing(settings):
        return _fetch(settings, settings.source, day, everything)


def _fetch(settings: Settings, source: str, day: date, everything: bool) -> FetchResult:
    settings.drops.mkdir(parents=True, exist_ok=True)
    if not source.startswith(("http://", "https://")):
        return FetchResult(drops=copy_new_folders(source, settings.drops))
    timeout = httpx.Timeout(60, connect=10)
    with httpx.Client(timeout=timeout, follow_redirects=True) as http:
        base = source.rstrip("/")
        token = SmartToken(base, settings.source_client_id, settings.source_key)
        return export_drop(settings, BulkServer(http, base, settings.source_group, token), day, everything)


def export_drop(settings: Settings, server: BulkServer, day: date, everything: bool) -> FetchResult:
    """Export into a hidden folder, then rename it to the day's drop, then set the watermark."""
    state, watermark = (settings.workspace / "fetch" / name for name in ("export.json", "watermark.json"))
    drop, part = settings.drops / day.isoformat(), settings.drops / f".{day.isoformat()}.fetch"
    since = None if everything or not watermark.exists() else str(read_json(watermark)["transaction_time"])
    if drop.exists() and not state.exists():
        return FetchResult(since=since)
    manifest = run_export(server, state, part if not drop.exists() else drop, since, TYPES)
    if not drop.exists():
        part.rename(drop)
    files, errors = sum(1 for _ in manifest.list_files()), count_errors(drop)
    if not files:  # nothing new: no drop, and so no night
        shutil.rmtree(drop)
    write_json(watermark, {"transaction_time": manifest.transaction_time}, 0o600)
    end_export(server, state)
    return FetchResult([day.isoformat()] if files else [], files, since, errors)
