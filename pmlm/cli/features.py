"""``pmlm features``: build features, put them online, show, verify and compare them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pmlm.errors import FeaturesError
from pmlm.settings import Settings, load_settings

features = typer.Typer(help="Build features, put them online, look at them.", no_args_is_help=True)

Drops = Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops (default: PMLM_DROPS).")]
Date = Annotated[str | None, typer.Option("--date", help="The night, YYYY-MM-DD (default: the last one taken in).")]
Json = Annotated[bool, typer.Option("--json", help="End with one JSON object on the last line.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``pmlm``."""
    app.add_typer(features, name="features")


@features.command("build", epilog="Example: pmlm features build --date 2026-06-02")
def build(date: Date = None, drops: Drops = None, as_json: Json = False) -> None:
    """Compute the features of every patient whose record changed, and all patients' peers."""
    from pipelines.features.build import stage

    settings = load_settings(drops=drops)
    _report(asdict(stage.run(settings, _parse_night(settings, date))), as_json)


@features.command("materialise", epilog="Example: pmlm features materialise")
def materialise(date: Date = None, drops: Drops = None, as_json: Json = False) -> None:
    """Write the latest rows to the online store."""
    from pipelines.features.online import materialise as stage

    settings = load_settings(drops=drops)
    _report(asdict(stage.run(settings, _parse_night(settings, date))), as_json)


@features.command("show", epilog="Example: pmlm features show PATIENT --as-of 2026-06-01")
def show(
    patient: Annotated[str, typer.Argument(help="Patient/<id> as in the records, or subject:<number>.")],
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="A moment in the past, ISO 8601 (a date: its end).")
    ] = None,
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Show a patient's features, now or as of a time: value, unit, age, source events."""
    from pipelines.features.inspect.show import describe_row, find_group_moments, find_source_events, read_row

    settings = load_settings(drops=drops)
    moment = parse_moment(settings, as_of)
    row = read_row(settings, patient, moment)
    at = moment or settings.now()
    found = describe_row(row, at, settings.k_anonymity)
    moments = find_group_moments(settings, patient, at)
    sources = (source for value in found for source in value.sources)
    events = {event.source: event for event in find_source_events(settings, patient, sources, at)}
    if as_json:
        known = {"as_of": row["as_of"], "groups": moments, "features": [asdict(value) for value in found]}
        typer.echo(json.dumps(known | {"events": [asdict(event) for event in events.values()]}, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("group", "feature", "value", "unit", "age (days)", "source", title=f"as of {row['as_of']}")
    for v in found:
        age = "" if v.age_days is None else f"{v.age_days:g}"
        first = events.get(v.sources[0]) if v.sources else None
        source = " ".join(v.sources)[:12]
        if first:
            source = f"{first.code} {v.sources[0][:8]}, known {first.known_at:%Y-%m-%d}"
        more = f" +{len(v.sources) - 1}" if len(v.sources) > 1 else ""
        table.add_row(v.group, v.name, _format_value(v.value), v.unit, age, source + more)
    Console(markup=False).print(table)
    typer.echo("rows of: " + ", ".join(f"{name} {moment:%Y-%m-%d}" for name, moment in moments.items()))


@features.command("verify", epilog="Example: pmlm features verify --max-age 2")
def verify(
    patients: Annotated[int, typer.Option(min=1, help="Compare the stores for so many patients at most.")] = 500,
    max_age: Annotated[float, typer.Option(help="Days that the last drop may be old.")] = 7.0,
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Check the features; exit 1 if any check fails.

    They must be complete, of one version, fresh, possible, and equal offline and online.
    """
    from pipelines.features.inspect import verify as checking

    found = checking.verify(load_settings(drops=drops), patients, max_age)
    holds = all(check.holds for check in found)
    if as_json:
        typer.echo(json.dumps({"holds": holds, "checks": [asdict(check) for check in found]}))
    else:
        for check in found:
            mark = typer.style("✓", fg="green") if check.holds else typer.style("✗", fg="red")
            typer.echo(f"{mark} {check.name}: {check.found}")
    if not holds:
        raise typer.Exit(1)


@features.command("diff", epilog="Example: pmlm features diff 2026-06-01 2026-06-02")
def diff(
    before: Annotated[str, typer.Argument(metavar="NIGHT", help="The earlier night, YYYY-MM-DD.")],
    after: Annotated[str, typer.Argument(metavar="NIGHT", help="The later one.")],
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Show which features changed from one night to another, and for how many patients."""
    from pipelines.features.inspect.diff import compare_nights

    settings = load_settings(drops=drops)
    nights = compare_nights(settings, _parse_night(settings, before), _parse_night(settings, after))
    if as_json:
        typer.echo(json.dumps(asdict(nights)))
        return
    from rich.console import Console
    from rich.table import Table

    title = f"{nights.before}: {nights.patients_before} patients, {nights.after}: {nights.patients_after}"
    table = Table("group", "feature", "patients", "changed", "now known", "no longer", "mean", title=title)
    for d in nights.features:
        mean = "" if d.mean_before is None or d.mean_after is None else f"{d.mean_before:g} → {d.mean_after:g}"
        counts = (str(n) for n in (d.patients, d.changed, d.became_known, d.no_longer_known))
        table.add_row(d.group, d.name, *counts, mean)
    Console().print(table)


@features.command("catalogue", epilog="Example: pmlm features catalogue")
def catalogue(drops: Drops = None, as_json: Json = False) -> None:
    """Write a page with every feature's meaning, unit, owner, source codes, null rate and plot."""
    from pipelines.features.inspect import catalogue as pages

    settings = load_settings(drops=drops)
    page = pages.write_page(settings, settings.now())
    typer.echo(json.dumps({"page": str(page)}) if as_json else f"wrote {page}")


def _parse_night(settings: Settings, date: str | None) -> str:
    """Return ``YYYYMMDD`` of a date, or of the last drop taken in."""
    if date:
        try:
            return datetime.strptime(date, "%Y%m%d" if date.isdigit() else "%Y-%m-%d").strftime("%Y%m%d")
        except ValueError as error:
            raise FeaturesError(f"{date}: not a night, YYYY-MM-DD") from error
    from pipelines.records.log import ledger

    newest = max((path.name[:8] for path in ledger.list_batches(settings)), default=None)
    if newest is None:
        raise FeaturesError("no events yet: run `pmlm records import` first")
    return newest


def parse_moment(settings: Settings, text: str | None) -> datetime | None:
    """The moment an ISO 8601 text names by the clinic's clock, a date by its end; None of None.

    A time without an offset is the clinic's own.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise FeaturesError(f"--as-of {text}: not an ISO 8601 date or time") from error
    if len(text) == len("2026-06-01"):
        from pipelines.night_dates import end_of_day

        return end_of_day(moment.date())
    return settings.localize(moment) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _format_value(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)}: " + ", ".join(_format_value(v) for v in value[:3]) + (" …" if len(value) > 3 else "")
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
