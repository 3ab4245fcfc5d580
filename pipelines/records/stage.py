"""The first stage of a night: take in the drop of that date, and what was said of the endpoint's answers since."""

from __future__ import annotations

from dataclasses import asdict

from pipelines.records.drops import list_drops
from pipelines.records.feedback import intake
from pipelines.records.ingest import import_drop
from pipelines.records.log import ledger
from pipelines.runs import StageSummary, stage_run
from pmlm.settings import Settings
from pmlm.storage import hash_files


def run(settings: Settings, night: str) -> StageSummary:
    """Import the drop of ``night`` (``YYYYMMDD``); "noop" where the clinic has none of that date."""
    with stage_run(settings, night, "records") as summary:
        drop = next((d for d in list_drops(settings) if d.night == night), None)
        if drop is None:
            summary.status, summary.detail = "noop", "the clinic has no drop of that date"
            return summary
        accounts = import_drop(settings, drop.path, drop.date)
        summary.rows_in, summary.rows_out = accounts.read, accounts.events
        summary.quarantined = accounts.quarantined
        summary.figures = asdict(accounts)
        if (taken := intake.ingest_feedback(settings, night)) is not None:
            summary.figures["feedback"] = asdict(taken)
            summary.rows_out += taken.events
        entry = ledger.read_entry(settings, night)
        summary.hashes = {"drop": entry.content, "events": hash_files(ledger.list_batches(settings))} if entry else {}
    return summary
