"""Sum up what the stages of a night wrote, as ``pmlm status --json`` prints it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.night import airflow_settings, night, stages
from pipelines.runs import StageSummary, read_summaries
from pmlm.errors import UnknownNightError
from pmlm.settings import Settings
from pmlm.storage import read_json

STATUS_ORDER = ("noop", "done", "hold")  # a stage of several nights has the gravest of their statuses


def collect_status(settings: Settings, nights: list[str] | None = None) -> dict[str, Any]:
    """Sum up some nights (default: the last), one entry per stage.

    UnknownNightError where a night was never ingested.
    """
    ingested = night.list_nights(settings)
    chosen = nights or ingested[-1:]
    missing = [n for n in chosen if n not in ingested]
    if missing or not chosen:
        raise UnknownNightError(f"night {missing[0]} was never taken in" if missing else "no night has been taken in")
    done = [s for n in chosen for s in read_summaries(settings, n)]
    return {
        "clinic": settings.clinic,
        "nights": chosen,
        "finished": not night.list_pending_nights(settings),
        "stages": [asdict(_sum_stage(name, found)) for name in stages.STAGES if (found := _select_stage(done, name))],
        "accounts": _sum_accounts(settings, chosen),
        "hold": {s.stage: s.detail for s in done if s.status == "hold"},
        "evaluation": _read_metrics(settings, "evaluation"),
        "gate": _read_metrics(settings, "gate"),
        "pages": {name: str(path) for name, path in list_pages(settings, chosen[-1]).items()},
    }


def list_pages(settings: Settings, night: str) -> dict[str, Path | str]:
    """The pages of a night that exist, and Airflow's."""
    files = {
        "Data Docs": settings.reports / "data-docs" / "contents.html",
        "drift report": settings.reports / "drift" / f"{night}.html",
        "log": log_path(settings, night),
    }
    return {name: path for name, path in files.items() if path.exists()} | {
        "Airflow": airflow_settings.page_url(settings)
    }


def log_path(settings: Settings, night: str) -> Path:
    return settings.workspace / "logs" / f"night-{night}.log"


def _select_stage(done: list[StageSummary], name: str) -> list[StageSummary]:
    return [s for s in done if s.stage == name]


def _sum_stage(name: str, found: list[StageSummary]) -> StageSummary:
    status = max((s.status for s in found), key=STATUS_ORDER.index)
    return StageSummary(
        stage=name,
        night=found[-1].night if len(found) == 1 else f"{found[0].night}–{found[-1].night}",
        rows_in=sum(s.rows_in for s in found),
        rows_out=sum(s.rows_out for s in found),
        quarantined=sum(s.quarantined for s in found),
        seconds=round(sum(s.seconds for s in found), 1),
        status=status,
        detail=found[-1].detail,
        hashes=found[-1].hashes,
        figures=found[-1].figures,
    )


def _sum_accounts(settings: Settings, chosen: list[str]) -> dict[str, Any]:
    """Count the resources read over some nights: accepted, ignored, quarantined by rule."""
    from pipelines.records.log import ledger

    entries = [entry.accounts for n in chosen if (entry := ledger.read_entry(settings, n))]
    by_rule: dict[str, int] = {}
    for accounts in entries:
        for rule, count in accounts.by_rule.items():
            by_rule[rule] = by_rule.get(rule, 0) + count
    sums = {name: sum(getattr(a, name) for a in entries) for name in ("read", "accepted", "ignored", "quarantined")}
    return {**sums, "by_rule": dict(sorted(by_rule.items()))}


def _read_metrics(settings: Settings, name: str) -> Any:
    path = settings.metrics / f"{name}.json"
    return read_json(path) if path.exists() else None
