"""``pmlm records import``, ``fetch`` and ``export-meds``, ``pmlm quarantine list`` and ``replay``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmlm.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.table import Table

quarantine = typer.Typer(help="Records that broke a rule: list them, retry them.", no_args_is_help=True)
records = typer.Typer(help="Import records, export events.", no_args_is_help=True)

Drops = Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops (default: PMLM_DROPS).")]
Json = Annotated[bool, typer.Option("--json", help="End with one JSON object on the last line.")]


def register(app: typer.Typer) -> None:
    """Add the ``records`` and ``quarantine`` groups to ``pmlm``."""
    app.add_typer(records, name="records")
    app.add_typer(quarantine, name="quarantine")


@records.command("import", epilog="Example: pmlm records import examples/clinic --json")
def import_records(
    path: Annotated[Path, typer.Argument(help="A drop, a single file, or a clinic's folder of dated drops.")],
    date: Annotated[str | None, typer.Option("--date", help="The day the clinic knew it, YYYY-MM-DD.")] = None,
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Read FHIR records, check and de-identify them, append their events; quarantine what is broken."""
    from pipelines.records.refusals import REFUSED
    from pipelines.records.stage import import_path

    accounts = import_path(_load_clinic_settings(path, drops), path, date)
    if as_json:
        typer.echo(json.dumps(asdict(accounts)))
    else:
        typer.echo(
            f"read {accounts.read}: accepted {accounts.accepted}, ignored {accounts.ignored}, "
            f"quarantined {accounts.quarantined}; {accounts.events} new events"
        )
        if refused := accounts.ignored_types.get(REFUSED, 0):
            typer.echo(f"{refused} records of erased patients refused")


@records.command("fetch", epilog="Example: PMLM_SOURCE=https://fhir.example/r4 pmlm records fetch --date 2026-06-01")
def fetch(
    date: Annotated[str | None, typer.Option("--date", help="The drop's day, YYYY-MM-DD (default: today).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Not only what changed since the last time.")] = False,
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Fetch new records from PMLM_SOURCE into a drop: a FHIR Bulk Data export, or new dated folders."""
    from pipelines.fetch.stage import fetch_records
    from pipelines.records.drops import parse_folder_date

    settings = load_settings(drops=drops)
    day = parse_folder_date(date) if date else settings.now().date()
    if day is None:
        raise typer.BadParameter(f"{date}: not a date of the form YYYY-MM-DD", param_hint="--date")
    result = fetch_records(settings, day, everything)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    typer.echo(
        f"fetched: {', '.join(result.drops) or 'nothing new'}" + (f" ({result.files} files)" if result.files else "")
    )
    for code, count in result.errors.items():
        typer.echo(f"  the server reported {count} x {code}")


@records.command("export-meds", epilog="Example: pmlm records export-meds /tmp/meds")
def export_meds_dataset(
    out: Annotated[Path, typer.Argument(help="Folder to write the MEDS dataset to.")], drops: Drops = None
) -> None:
    """Write the events known by the clinic's clock as a MEDS dataset."""
    from pipelines.records.log.meds_dataset import export_meds

    settings = load_settings(drops=drops)
    typer.echo(f"{export_meds(settings, out, settings.now())} events written to {out}")


@quarantine.command("list", epilog="Example: pmlm quarantine list --rule invalid_json --limit 5")
def list_quarantine(
    drops: Drops = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only rows that broke this rule.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Most rows to show; 0 shows all.")] = 20,
    raw: Annotated[bool, typer.Option("--raw", help="Show the raw lines too. They contain identifiers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every row as one JSON object per line.")] = False,
) -> None:
    """Count the quarantined records by rule, then list them: file, line, resource id, rule, reason."""
    from rich.console import Console

    from pipelines.records.log.quarantine import read_rows

    columns = ("night", "file", "line", "entry", "type", "id", "rule", "reason", *(("raw", "raw64") if raw else ()))
    found = (asdict(r) for r in read_rows(load_settings(drops=drops)) if rule in (None, r.rule))
    rows = [{k: v for k, v in row.items() if k in columns} for row in found]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    console = Console()
    shown = rows[: limit or None]
    with console.pager(styles=True) if console.is_terminal and len(shown) > console.height else nullcontext():
        console.print(_count_by_rule(rows))
        if shown:
            console.print(_draw_rows(shown, columns))
    if len(shown) < len(rows):
        console.print(f"{len(rows) - len(shown)} more: --limit 0 shows all, --rule NAME those of one rule")


def _count_by_rule(rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich.table import Table

    table = Table("rule", "rows", title=f"{len(rows)} rows in quarantine", title_justify="left")
    for name, count in Counter(row["rule"] for row in rows).most_common():
        table.add_row(name, f"{count:,}")
    return table


def _draw_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*(escape(str(row[name])) for name in columns))
    return table


@quarantine.command("replay", epilog="Example: pmlm quarantine replay --rule unknown_patient")
def replay(
    rule: Annotated[str | None, typer.Option("--rule", help="Only rows that broke this rule.")] = None,
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Retry quarantined records after corrections of rows, drops or what they wait for."""
    from pipelines.records.replay import replay_quarantine

    result = replay_quarantine(load_settings(drops=drops), rule)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    typer.echo(f"tried {result.tried}: released {sum(result.released.values())}, still quarantined {result.held}")
    for name, count in result.released.items():
        typer.echo(f"  {name}: {count} released")


def _load_clinic_settings(path: Path, drops: Path | None) -> Settings:
    """Load the settings of the named clinic, else of the one that contains the path."""
    from pipelines.records.drops import parse_folder_date

    if drops is None and path.is_dir():
        if (path / "clinic.yaml").exists() or any(parse_folder_date(p.name) for p in path.iterdir()):
            drops = path
        elif parse_folder_date(path.resolve().name) is not None:
            drops = path.resolve().parent
    return load_settings(drops=drops)
