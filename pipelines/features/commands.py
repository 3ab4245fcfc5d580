"""``pmlm features``: build a night's features, put them online, look at one patient's."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import FeaturesError
from pipelines.settings import Settings, load

features = typer.Typer(help="Build features, put them online, look at them.", no_args_is_help=True)

Drops = Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops (default: PMLM_DROPS).")]
Date = Annotated[str | None, typer.Option("--date", help="The night, YYYY-MM-DD (default: the last one taken in).")]
Json = Annotated[bool, typer.Option("--json", help="End with one JSON object on the last line.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands to ``pmlm``."""
    app.add_typer(features, name="features")


@features.command("build", epilog="Example: pmlm features build --date 2026-06-02")
def build(date: Date = None, drops: Drops = None, as_json: Json = False) -> None:
    """Compute the features of every patient whose record changed, and everybody's peers."""
    from pipelines.features import stage

    settings = load(drops=drops)
    _report(asdict(stage.run(settings, _night(settings, date))), as_json)


@features.command("materialise", epilog="Example: pmlm features materialise")
def materialise(date: Date = None, drops: Drops = None, as_json: Json = False) -> None:
    """Write the latest rows to the online store, late ones too."""
    from pipelines.features import materialise as stage

    settings = load(drops=drops)
    _report(asdict(stage.run(settings, _night(settings, date))), as_json)


@features.command("show", epilog="Example: pmlm features show PATIENT --as-of 2026-06-01")
def show(
    patient: Annotated[str, typer.Argument(help="The patient's reference in the records.")],
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="A moment in the past, ISO 8601 (a date: its end).")
    ] = None,
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Show what is known of a patient, now or as of a moment: value, unit, age in days, source line."""
    from pipelines.features.show import describe, row

    settings = load(drops=drops)
    moment = _moment(as_of)
    values = row(settings, patient, moment)
    shown = describe(values, moment or settings.now())
    if as_json:
        known = {"as_of": values["as_of"], "features": [asdict(s) for s in shown]}
        typer.echo(json.dumps(known, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("group", "feature", "value", "unit", "age (days)", "source", title=f"as of {values['as_of']}")
    for s in shown:
        age = "" if s.age_days is None else f"{s.age_days:g}"
        table.add_row(s.group, s.name, _short(s.value), s.unit, age, " ".join(s.sources)[:12])
    Console().print(table)


def _night(settings: Settings, date: str | None) -> str:
    """``YYYYMMDD`` of the date given, else of the last drop taken in."""
    if date:
        return datetime.strptime(date, "%Y-%m-%d").strftime("%Y%m%d")
    from pipelines.records import ledger

    newest = max((path.name[:8] for path in ledger.batches(settings)), default=None)
    if newest is None:
        raise FeaturesError("no events yet: run `pmlm records import` first")
    return newest


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FeaturesError(f"--as-of {text}: not an ISO 8601 date or time") from error
    if len(text) == len("2026-06-01"):
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}: " + ", ".join(_short(v) for v in value[:3]) + (" …" if len(value) > 3 else "")
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _report(summary: dict[str, object], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary, default=str))
    else:
        typer.echo(
            f"{summary['stage']} {summary['night']}: {summary['status']}, {summary['rows_in']} in, "
            f"{summary['rows_out']} rows out, {summary['seconds']} s. {summary['detail']}"
        )
