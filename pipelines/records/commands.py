"""``pmlm records import``, ``pmlm records export-meds``, ``pmlm quarantine list`` and ``replay``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipelines.settings import Settings, load

records = typer.Typer(help="Take records in, give events out.", no_args_is_help=True)

Drops = Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops (default: PMLM_DROPS).")]
Json = Annotated[bool, typer.Option("--json", help="End with one JSON object on the last line.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands to ``pmlm``."""
    app.add_typer(records, name="records")


@records.command("import", epilog="Example: pmlm records import examples/clinic --json")
def import_records(
    path: Annotated[Path, typer.Argument(help="A drop, a single file, or a clinic's folder of dated drops.")],
    date: Annotated[str | None, typer.Option("--date", help="The day the clinic knew it, YYYY-MM-DD.")] = None,
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Read FHIR records, check and de-identify them, append their events; broken rows go to quarantine."""
    from pipelines.records.incoming import import_path

    accounts = import_path(_clinic_of(path, drops), path, date)
    if as_json:
        typer.echo(json.dumps(asdict(accounts)))
    else:
        typer.echo(
            f"read {accounts.read}: accepted {accounts.accepted}, ignored {accounts.ignored}, "
            f"quarantined {accounts.quarantined}; {accounts.events} new events"
        )


def _clinic_of(path: Path, drops: Path | None) -> Settings:
    """The clinic a path belongs to: the one named, else the folder of drops it is or lies in, else the default."""
    from pipelines.records.drops import date_of

    if drops is None and path.is_dir():
        if (path / "clinic.yaml").exists() or any(date_of(p.name) for p in path.iterdir()):
            drops = path
        elif date_of(path.resolve().name) is not None:
            drops = path.resolve().parent
    return load(drops=drops)
