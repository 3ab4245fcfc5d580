"""``pmlm night`` and what surrounds it: stages, status, saved nights, up, down, doctor."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import load_settings

Drops = Annotated[Path | None, typer.Option(help="The clinic: its folder of dated drops.")]
AsJson = Annotated[bool, typer.Option("--json", help="End with one JSON object (nights: one a line).")]
Night = Annotated[str | None, typer.Option(help="The night, YYYYMMDD or YYYY-MM-DD; by default the last one.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands to ``pmlm``."""
    app.command("night", epilog="Example: pmlm night --drops examples/clinic")(night)
    app.command("stage", epilog="Example: pmlm stage episodes --night 20260601")(stage)
    app.command("status", epilog="Example: pmlm status --json")(status)
    app.command("up", epilog="Example: pmlm up")(up)
    app.command("down", epilog="Example: pmlm down")(down)
    app.command("doctor", epilog="Example: pmlm doctor")(doctor)
    nights = typer.Typer(help="The saved nights.", invoke_without_command=True, no_args_is_help=False)
    nights.callback(epilog="Example: pmlm nights --json")(list_nights)
    nights.command("restore", epilog="Example: pmlm nights restore 20260601")(restore)
    app.add_typer(nights, name="nights")


def night(
    drops: Drops = None,
    date: Annotated[str | None, typer.Option(help="Run this one night only, without Airflow.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take in every pending drop, learn once, serve the result. Without new records it says so and ends."""
    from pmlm.console import night_run

    night_run.run_pending_nights(load_settings(drops=drops), date=_night_id(date), as_json=as_json)


def stage(
    name: Annotated[str, typer.Argument(help="A stage of dvc.yaml: records, features, materialise, episodes, …")],
    night: Night = None,
    drops: Drops = None,
    as_json: AsJson = False,
) -> None:
    """Run one stage alone, as dvc.yaml does."""
    from pipelines.night import night as nightly
    from pmlm.console.progress import format_stage

    summary = nightly.run_stage(load_settings(drops=drops), name, _night_id(night))
    _print(format_stage(summary))
    if as_json:
        typer.echo(json.dumps(asdict(summary)))


def status(night: Night = None, drops: Drops = None, as_json: AsJson = False) -> None:
    """Sum up a night: stages, accounts, rewards, and the pages to open."""
    from pipelines.night import status as statuses
    from pmlm.console import screen

    chosen = _night_id(night)
    found = statuses.collect_status(load_settings(drops=drops), [chosen] if chosen else None)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        from rich.console import Console

        screen.show_night(Console(highlight=False), found, None)


def list_nights(context: typer.Context, drops: Drops = None, as_json: AsJson = False) -> None:
    """List the saved nights with their metrics, oldest first."""
    if context.invoked_subcommand:
        return
    from pipelines.night import saved_nights

    saved = saved_nights.list_saved_nights(load_settings(drops=drops))
    if as_json:
        for one in saved:
            typer.echo(json.dumps(asdict(one)))
        return
    from rich.console import Console

    from pmlm.console import screen

    Console(highlight=False).print(screen.make_nights_table(saved))


def restore(
    night: Annotated[str, typer.Argument(help="The night, YYYYMMDD or YYYY-MM-DD.")], drops: Drops = None
) -> None:
    """Bring a saved night back, hash by hash; later drops count as pending again."""
    from pipelines.night import night as nightly

    chosen = _night_id(night) or night
    for path, content in sorted(nightly.restore_night(load_settings(drops=drops), chosen).items()):
        typer.echo(f"{content}  {path}")
    typer.echo(f"night {chosen} is back, every hash computed anew, and in the online store")


def up(drops: Drops = None) -> None:
    """Start Airflow with its web page, and the endpoint; wait until they answer."""
    from pmlm.console import lifecycle

    for line in lifecycle.start_services(load_settings(drops=drops)):
        _print(line)


def down(drops: Drops = None) -> None:
    """Stop what `pmlm up` started; no process stays."""
    from pmlm.console import lifecycle

    for line in lifecycle.stop_services(load_settings(drops=drops)):
        _print(line)


def doctor(drops: Drops = None, as_json: AsJson = False) -> None:
    """Say what is configured, what is missing and how to mend it; exit 1 if a night could not run."""
    from pmlm.console import doctor as doctors

    checks = doctors.run_checks(load_settings(drops=drops))
    for check in checks:
        mend = f"\n                  → {check.mend}" if check.mend else ""
        _print(f"{doctors.MARKS[check.verdict]} {check.name:<15} {check.found}{mend}")
    if as_json:
        typer.echo(json.dumps({"checks": [asdict(check) for check in checks]}))
    if any(check.verdict == "bad" for check in checks):
        raise typer.Exit(1)


def _night_id(text: str | None) -> str | None:
    """YYYYMMDD from either spelling of a date."""
    return text.replace("-", "") if text else None


def _print(markup: str) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(markup)
