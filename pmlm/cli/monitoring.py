"""Commands: ``pmlm drift``, ``traffic``, ``alerts``, ``ops``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import load_settings
from pmlm.workspace_lock import lock_writing


def register(app: typer.Typer) -> None:
    """Add these commands to ``pmlm``."""
    app.command(name="drift", epilog="Example: pmlm drift --json")(drift)
    app.command(name="traffic", epilog="Example: pmlm traffic --date 2026-06-14")(traffic)
    app.command(name="alerts", epilog="Example: pmlm alerts --json")(alerts)
    app.command(name="ops", epilog="Example: pmlm ops --json")(operations)


def drift(
    night: Annotated[str | None, typer.Option(help="Night as YYYYMMDD; by default the last one taken in.")] = None,
    drops: Annotated[Path | None, typer.Option(help="The clinic's folder of drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object of verdicts.")] = False,
) -> None:
    """Show how a night's records, features, prompts and rewards compare with the nights before.

    What the night recorded is shown as it is; a night without a verdict of its own is judged now.
    """
    from rich.console import Console
    from rich.table import Table

    from pipelines.monitoring.drift import judge_night, read_verdicts, report_path, write_report
    from pipelines.monitoring.window import resolve_night

    settings = load_settings(drops=drops)
    chosen = resolve_night(settings, night)
    if not report_path(settings, chosen).with_suffix(".json").exists():
        with lock_writing(settings):
            write_report(settings, chosen, judge_night(settings, chosen))
    verdicts = read_verdicts(settings, chosen)
    table = Table(title=f"Drift, night {chosen}")
    for heading in ("family", "verdict", "tonight", "window", "why"):
        table.add_column(heading)
    for family, v in verdicts.items():
        table.add_row(family, v["verdict"], str(v["n_current"]), str(v["n_reference"]), v["why"])
    console = Console()
    console.print(table)
    console.print(f"Report: {report_path(settings, chosen)}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps({"night": chosen, "report": str(report_path(settings, chosen)), "verdicts": verdicts}))


def traffic(
    date: Annotated[str | None, typer.Option(help="Day as YYYY-MM-DD, UTC; by default today.")] = None,
    drops: Annotated[Path | None, typer.Option(help="The clinic's folder of drops.")] = None,
) -> None:
    """Count what the endpoint did by the hour: JSON Lines of latency, errors, red flags and shares, without text."""
    from pipelines.monitoring.traffic import UNPUBLISHED, measure_day

    try:
        day = datetime.strptime(date, "%Y-%m-%d").date() if date else datetime.now(UTC).date()
    except ValueError:
        raise typer.BadParameter(f"{date} is no day such as 2026-06-14") from None
    for hour in measure_day(load_settings(drops=drops), day):
        typer.echo(json.dumps({name: value for name, value in hour.items() if name != UNPUBLISHED}))


def alerts(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON Lines.")] = False,
    drops: Annotated[Path | None, typer.Option(help="The clinic's folder of drops.")] = None,
) -> None:
    """List the alerts on record, oldest first, each with the command that helps."""
    from pipelines.night.alerts import read_alerts

    for alert in read_alerts(load_settings(drops=drops)):
        text = f"{alert.night}  {alert.kind}: {alert.text}  ({alert.command})"
        typer.echo(json.dumps(asdict(alert)) if as_json else text)


def operations(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    drops: Annotated[Path | None, typer.Option(help="The clinic's folder of drops.")] = None,
) -> None:
    """Show nights, champions, drift, features, answers and open alerts at a glance, as the page /ops does."""
    from pipelines.monitoring.operations.build import write_operations

    found = write_operations(load_settings(drops=drops))
    if as_json:
        typer.echo(found.model_dump_json())
        return
    from rich.console import Console

    from pmlm.console.operations import list_tables

    console = Console(highlight=False)
    for table in list_tables(found):
        console.print(table)
