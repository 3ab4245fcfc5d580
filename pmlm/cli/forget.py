"""``pmlm forget``: erase a patient from all that PMLM stores, for good."""

from __future__ import annotations

import getpass
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import Settings, load_settings


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command(
        epilog="Examples: pmlm forget Patient/52acb5fe-53e6-488a-800e-e8c63e92c1d4 --dry-run\n\npmlm forget --list"
    )(forget)


def forget(
    patient: Annotated[str | None, typer.Argument(help="Patient/<id> as in the records, or subject:<number>.")] = None,
    by: Annotated[str | None, typer.Option(help="Who erases; default: your user name.")] = None,
    why: Annotated[str, typer.Option(help="Why, such as the request's number; never who is erased.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, change nothing.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the tombstones of those who were erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    drops: Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Erase a patient for good: records, features, conversations, logs, saved nights, caches.

    A tombstone without identity stays: later drops of the patient are refused and counted, and restored nights are
    filtered. What was killed is finished by the next run. Exits with 1 if a file still names the patient. The clinic's
    own drops are not changed.
    """
    settings = load_settings(drops=drops)
    if list_:
        _list_tombstones(settings, as_json)
    elif patient is None:
        raise typer.BadParameter("name a patient, or use --list", param_hint="PATIENT")
    elif dry_run:
        _show_places(settings, patient, as_json)
    else:
        if sys.stdin.isatty() and not yes:
            typer.confirm("This cannot be undone. Erase the patient?", abort=True)
        _erase(settings, patient, by or getpass.getuser(), why, as_json)


def _erase(settings: Settings, patient: str, by: str, why: str, as_json: bool) -> None:
    from pipelines.night.forget import forget_patient

    def report(what: str, count: int) -> None:
        typer.echo(f"{count:>8,}  {what}", err=as_json)

    done = forget_patient(settings, patient, by, why, report)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    elif done.tombstone is not None:
        if learnt := [*done.tombstone.releases, *done.tombstone.models]:
            typer.echo(f"had learnt from the patient, to be trained again by the next night: {', '.join(learnt)}")
        typer.echo(f"tombstone {done.tombstone.hash}; every byte searched: {len(done.left)} files name the patient")
    if done.left:
        for path in done.left:
            typer.echo(f"still names the patient: {path}", err=True)
        raise typer.Exit(1)


def _show_places(settings: Settings, patient: str, as_json: bool) -> None:
    from pipelines import tombstones
    from pipelines.night.forget import find_places

    found = find_places(settings, patient)
    stone = tombstones.find_tombstone(settings, settings.subject_id(patient))
    if as_json:
        typer.echo(json.dumps({"files": found, "tombstone": stone and asdict(stone)}))
        return
    for path in found:
        typer.echo(path)
    erased = f"; erased at {stone.at} by {stone.by}" if stone else ""
    typer.echo(f"{len(found)} files name the patient{erased}; nothing was changed")


def _list_tombstones(settings: Settings, as_json: bool) -> None:
    from pipelines import tombstones

    for one in tombstones.list_tombstones(settings):
        if as_json:
            typer.echo(json.dumps(asdict(one)))
        else:
            learnt = ", ".join([*one.releases, *one.models]) or "nothing"
            typer.echo(f"{one.at}  {one.hash}  by {one.by}  {one.why or '–'}  had taught: {learnt}")
