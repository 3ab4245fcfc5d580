"""Stage ``drift``: compare a night with a rolling reference window, one verdict per family.

Run: ``pmlm stage drift``. Writes ``reports/drift/<night>.html`` and, for a scheduler, the verdicts as ``<night>.json``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.monitoring import reference, report
from pipelines.monitoring.column_tests import ColumnPair
from pipelines.monitoring.families import features, prompts, records, rewards
from pipelines.monitoring.families.drift_table import DriftTable, SealedTable, read_table
from pipelines.monitoring.verdicts import FamilyVerdict, judge_family
from pipelines.monitoring.window import list_nights_before, refresh_table
from pipelines.params import DriftParams, load_params
from pipelines.runs import StageSummary, stage_run
from pmlm.settings import Settings
from pmlm.storage import hash_files, read_json, write_bytes, write_json

#: Family → its tables; the first is the main one, whose rows decide whether there is a verdict.
FAMILIES: dict[str, tuple[DriftTable, ...]] = {
    "records": records.TABLES,
    "features": features.TABLES,
    "prompts": prompts.TABLES,
    "rewards": rewards.TABLES,
}


def report_path(settings: Settings, night: str) -> Path:
    """The page of a night's drift; its verdicts have the same name with ``.json``."""
    return settings.reports / "drift" / f"{night}.html"


def read_verdicts(settings: Settings, night: str) -> dict[str, dict[str, Any]]:
    """Read a night's verdicts by family; FileNotFoundError where its drift stage has not run."""
    verdicts: dict[str, dict[str, Any]] = read_json(report_path(settings, night).with_suffix(".json"))
    return verdicts


@dataclass(frozen=True, slots=True)
class NightJudged:
    """A night's verdicts with the columns behind them, and how many sampling units they rest on."""

    verdicts: list[FamilyVerdict]
    page: bytes
    units: int


def judge_night(settings: Settings, night: str) -> NightJudged:
    """Judge ``night`` (``YYYYMMDD``) against its reference window, and store the window's summary beside its tables."""
    params = load_params(settings).drift
    nights = list_nights_before(settings, night, params.window)
    tables = [table for family in FAMILIES.values() for table in family]
    found = reference.load_reference(settings, nights, tables, params.window)
    tonight = {t.name: read_table(refresh_table(settings, night, t, params.window, own=True)) for t in tables}
    reference.save_reference(settings, night, nights, tables, found)
    verdicts, compared = judge_tables(night, tonight, found, len(nights), params)
    page = report.render_page(night, nights, verdicts, report.run_evidently(verdicts, compared))
    return NightJudged(verdicts, page, sum(table.frame.height for table in tonight.values()))


def judge_tables(
    night: str, tonight: dict[str, SealedTable], found: reference.Reference, nights: int, params: DriftParams
) -> tuple[list[FamilyVerdict], dict[str, list[ColumnPair]]]:
    """Judge a night's tables, by name, against the summary of ``nights`` nights; return the compared columns too."""
    own = [reference.summarise_table(name, night, table).means for name, table in tonight.items()]
    levels = pl.concat([found.means, *own])
    verdicts: list[FamilyVerdict] = []
    compared: dict[str, list[ColumnPair]] = {}
    for family, members in FAMILIES.items():
        names = [table.name for table in members]
        sides = [(tonight[name], found.restore_table(name)) for name in names]
        of_family = levels.filter(pl.col("table").is_in(names))
        verdict, compared[family] = judge_family(family, members[0].unit, sides, nights, params, of_family)
        verdicts.append(verdict)
    return verdicts, compared


def write_report(settings: Settings, night: str, judged: NightJudged) -> Path:
    """Write the page and, next to it, the verdicts; returns the verdicts' file."""
    page = write_bytes(report_path(settings, night), judged.page)
    return write_json(page.with_suffix(".json"), {v.family: v.as_json() for v in judged.verdicts})


def run(settings: Settings, night: str) -> StageSummary:
    """Judge ``night``; write the page, the verdicts and ``metrics/drift.json``, on which a training may start.

    Rows in: sampling units of the night over all families. Rows out: columns compared.
    """
    with stage_run(settings, night, "drift") as summary:
        judged = judge_night(settings, night)
        outcomes: dict[str, str] = {v.family: v.verdict for v in judged.verdicts}
        write_json(settings.metrics / "drift.json", {"night": night, "verdicts": outcomes})
        verdict_file = write_report(settings, night, judged)
        summary.rows_in = judged.units
        summary.rows_out = sum(len(v.compared) for v in judged.verdicts)
        counts = Counter(outcomes.values())
        summary.detail = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items()))
        summary.figures = dict(outcomes)
        summary.hashes = {"verdicts": hash_files([verdict_file])}
    return summary
