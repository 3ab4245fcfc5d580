"""``pmlm patients`` and ``patient``: who can be asked about, and what PMLM believes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmlm.cli.features import parse_moment
from pmlm.settings import load_settings

if TYPE_CHECKING:
    from rich.table import Table

    from models.patient.summary import DisputedFact, Entry, PatientSummary


def register(app: typer.Typer) -> None:
    """Add the commands to ``pmlm``."""
    app.command("patients", epilog="Example: pmlm patients --search anaemia --limit 5")(list_patients)
    app.command("patient", epilog="Example: pmlm patient PATIENT --as-of 2026-06-01")(show_patient)


def list_patients(
    search: Annotated[str, typer.Option("--search", help="Only patients whose record says this.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most patients to show.")] = 10,
    drops: Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per patient.")] = False,
) -> None:
    """List patients to ask about, by pseudonym: those whose values changed most first."""
    from pipelines.features.inspect import patients

    found = patients.list_patients(load_settings(drops=drops), search)
    if as_json:
        for one in found[:limit]:
            typer.echo(json.dumps(asdict(one), ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{min(limit, len(found))} of {len(found)} patients")
    table.add_column("patient", no_wrap=True, min_width=max((len(one.patient) for one in found[:limit]), default=0))
    table.add_column("pregnancy")
    table.add_column("why")
    for one in found[:limit]:
        table.add_row(one.patient, one.pregnancy, "\n".join(one.why[: patients.SHOWN_REASONS]))
    Console(markup=False).print(table)
    if found:
        typer.echo(f'pmlm ask {found[0].patient} "Is it normal to feel this tired?"')


def show_patient(
    patient: Annotated[str, typer.Argument(help="Patient/<id> as in the records, or subject:<number>.")],
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="A moment in the past, ISO 8601 (a date: its end).")
    ] = None,
    drops: Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Show what PMLM believes of a patient and why: pregnancy, allergies, conditions, medicines, values."""
    from models.patient.summary import summarize_patient
    from pipelines.features.inspect.show import read_row
    from pipelines.records.feedback.disputes import list_disputes

    settings = load_settings(drops=drops)
    moment = parse_moment(settings, as_of) or settings.now()
    row, disputes = read_row(settings, patient, moment), list_disputes(settings, patient, moment)
    summary = summarize_patient(row, moment, settings.currency_rule, disputes)
    if as_json:
        typer.echo(json.dumps(asdict(summary), default=str))
        return
    from rich.console import Console

    console = Console(markup=False)  # brackets are the record's or de-identification's
    console.print(f"as of {moment:%Y-%m-%d}: {describe_pregnancy(summary)}")
    for title in ("allergies", "conditions", "medicines", "suspected", "not_current", "unmapped"):
        if entries := getattr(summary, title):
            console.print(_draw_entries(title.replace("_", " "), entries))
    if summary.signals:
        console.print(_draw_signals(summary))
    for fact in summary.disputed:
        console.print(describe_dispute(fact))


def describe_pregnancy(summary: PatientSummary) -> str:
    """One line: pregnant or not, weeks, and by which method they were found."""
    words = [f"pregnant: {summary.pregnant}"]
    if summary.gestational_weeks is not None:
        days = "" if summary.gestational_days is None else f" and {summary.gestational_days} days"
        words.append(f"{summary.gestational_weeks} weeks{days}")
    elif summary.gestational_age_days is not None:
        low, high = summary.gestational_age_days
        words.append(f"weeks not exactly known, between {low // 7} and {high // 7}")
    elif summary.pregnant == "yes":
        words.append("weeks not on record")
    if summary.multiple:
        words.append("more than one baby")
    if summary.dating is not None:
        words.append(f"dated by {summary.dating.method} (precision: {summary.dating.precision})")
    if summary.overdue:
        words.append("the last pregnancy should have ended, its end is not on record")
    if summary.postpartum_range is not None:
        low, high = summary.postpartum_range
        words.append(f"{low if low == high else f'{low} to {high}'} weeks after a pregnancy")
    return ", ".join(words)


def describe_dispute(fact: DisputedFact) -> str:
    """One line: which fact a clinician called wrong, when, and whether it is stated all the same."""
    words = [f"disputed by a clinician on {fact.on}: {fact.key}"]
    if fact.correction:
        words.append(f"instead: {fact.correction}")
    if fact.stands:
        words.append("it stands: an allergy always does, another fact because a record states it again")
    return ", ".join(words)


def _draw_entries(title: str, entries: Iterable[Entry]) -> Table:
    from rich.table import Table

    table = Table("text", "code", "age (days)", "source", "reason", title=title, title_justify="left")
    for entry in entries:
        note = entry.reason or (f"disputed by a clinician on {entry.disputed}" if entry.disputed else "")
        table.add_row(entry.text, entry.code, _format_age(entry.age_days), (entry.source or "")[:8], note)
    return table


def _draw_signals(summary: PatientSummary) -> Table:
    from rich.table import Table

    table = Table("signal", "value", "unit", "age (days)", "source", title="values", title_justify="left")
    for s in summary.signals:
        value = f"{s.comparator or ''}{s.value:g}{' (preliminary)' if s.preliminary else ''}"
        table.add_row(s.name, value, s.unit, _format_age(s.age_days), (s.source or "")[:8])
    return table


def _format_age(days: float | None) -> str:
    return "" if days is None else f"{days:g}"
