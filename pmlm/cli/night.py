"""Commands: ``pmlm night``, ``stage``, ``status``, ``nights``, ``up``, ``down``, ``doctor``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import load_settings

Drops = Annotated[Path | None, typer.Option(help="The clinic: its folder of dated drops.")]
AsJson = Annotated[bool, typer.Option("--json", help="End with one JSON object (nights: one per line).")]
Night = Annotated[str | None, typer.Option(help="The night, YYYYMMDD or YYYY-MM-DD; by default the last one.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``pmlm``."""
    app.command("night", epilog="Example: pmlm night --drops examples/clinic")(night)
    app.command("demo", epilog="Example: pmlm demo")(demo)
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
    train: Annotated[bool, typer.Option("--train", help="Train, whether or not there is cause to.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ingest every pending drop, train if there is cause, serve the result; end at once without new records."""
    from pmlm.console import one_night

    one_night.run_if_alone(load_settings(drops=drops), date=_parse_night(date), train=train, as_json=as_json)


def demo(drops: Drops = None) -> None:
    """Serve the finished night of the sample clinic that ships with PMLM; print a link and three questions."""
    from pmlm.console import demo as demonstration

    demonstration.run_demo(load_settings(drops=drops))


def stage(
    name: Annotated[str, typer.Argument(help="A stage of dvc.yaml: records, features, materialise, episodes, …")],
    night: Night = None,
    drops: Drops = None,
    as_json: AsJson = False,
) -> None:
    """Run one stage alone, as dvc.yaml does."""
    from pipelines.night import night as nightly
    from pmlm.console.progress import format_stage

    summary = nightly.run_stage(load_settings(drops=drops), name, _parse_night(night))
    _print_markup(format_stage(summary))
    if as_json:
        typer.echo(json.dumps(asdict(summary)))


def status(night: Night = None, drops: Drops = None, as_json: AsJson = False) -> None:
    """Sum up a night: stages, counts of records, rewards, and the pages to open."""
    from pipelines.night import status as statuses
    from pmlm.console import screen

    chosen = _parse_night(night)
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
    if not saved:
        typer.echo(
            "No night is saved here: `pmlm night` saves each one that it runs. `pmlm status` sums up the last one."
        )
        return
    from rich.console import Console

    from pmlm.console import screen

    Console(highlight=False).print(screen.make_nights_table(saved))


def restore(
    night: Annotated[str, typer.Argument(help="The night, YYYYMMDD or YYYY-MM-DD.")], drops: Drops = None
) -> None:
    """Restore a saved night and verify its hashes; later drops are pending again."""
    from pipelines.night import night as nightly

    chosen = _parse_night(night) or night
    for path, content in sorted(nightly.restore_night(load_settings(drops=drops), chosen).items()):
        typer.echo(f"{content}  {path}")
    typer.echo(f"night {chosen} is restored, every hash verified, and in the online store")


def up(drops: Drops = None) -> None:
    """Start Airflow with its web page, and the endpoint; wait until they answer."""
    from pmlm.console import lifecycle

    for line in lifecycle.start_services(load_settings(drops=drops)):
        _print_markup(line)


def down(drops: Drops = None) -> None:
    """Stop every process that `pmlm up` started."""
    from pmlm.console import lifecycle

    for line in lifecycle.stop_services(load_settings(drops=drops)):
        _print_markup(line)


def doctor(drops: Drops = None, as_json: AsJson = False) -> None:
    """Check what is configured or missing, with remedies; exit 1 if no night can run."""
    from pmlm.console import doctor as doctors

    checks = doctors.run_checks(load_settings(drops=drops))
    for check in checks:
        mend = f"\n                  → {check.mend}" if check.mend else ""
        _print_markup(f"{doctors.MARKS[check.verdict]} {check.name:<15} {check.found}{mend}")
    if as_json:
        typer.echo(json.dumps({"checks": [asdict(check) for check in checks]}))
    if any(check.verdict == "bad" for check in checks):
        raise typer.Exit(1)


def _parse_night(text: str | None) -> str | None:
    """YYYYMMDD from either spelling of a date."""
    return text.replace("-", "") if text else None


def _print_markup(markup: str) -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(markup)
