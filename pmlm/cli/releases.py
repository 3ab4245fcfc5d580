"""Commands: ``pmlm releases``, ``diff``, ``promote``, ``rollback``."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import load_settings

Drops = Annotated[Path | None, typer.Option("--drops", help="The clinic: its folder of dated drops.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``pmlm``."""
    releases = typer.Typer(help="The releases, and who changed the champion when and why.", invoke_without_command=True)
    releases.callback(epilog="Example: pmlm releases --json")(list_releases)
    releases.command("verify", epilog="Example: pmlm releases verify")(verify)
    app.add_typer(releases, name="releases")
    app.command(epilog="Example: pmlm diff v1.0.0 current")(diff)
    app.command(epilog='Example: pmlm promote --by "Dr Lin" --why "new template reviewed on 20 cases"')(promote)
    app.command(epilog='Example: pmlm rollback --by "Dr Lin" --why "prompts too short"')(rollback)


def list_releases(context: typer.Context, drops: Drops = None, as_json: Json = False) -> None:
    """List the releases, oldest first, then every change of the champion: who, when, from, to, why."""
    if context.invoked_subcommand:
        return
    from pipelines.packaging import release_list
    from pipelines.training import champion, champion_history

    settings = load_settings(drops=drops)
    found, history = release_list.list_releases(settings), champion_history.read_history(settings)
    waiting = champion.read_waiting(settings)
    if as_json:
        lines = [{"releases": [asdict(one) for one in found], "history": [asdict(one) for one in history]}]
        typer.echo(json.dumps(lines[0] | {"waiting": waiting}, ensure_ascii=False))
        return
    for one in found:
        marks = ["served"] * one.current + ["papers only"] * (not one.whole)
        refiner = f"{one.refiner} {one.refiner_version}".strip()
        typer.echo(f"{one.version}  {refiner}  {one.verdict.upper() or '–'}  {', '.join(marks)}".rstrip())
    if not found:
        typer.echo("no release yet: run `pmlm night`")
    for change in history:
        step = f"{change.before or 'nothing'} → {change.after} ({change.version})"
        typer.echo(f"{change.at}  {change.action}  {step}  by {change.by}: {change.why}")
    if waiting:
        typer.echo(f"waiting: {waiting['challenger']} of night {waiting['night']}: {waiting['why']}")


def verify(drops: Drops = None) -> None:
    """Check every release's bytes and signature, and the champion's history; exit 1 and say what is not as written."""
    from pipelines.night import champion_tags
    from pipelines.packaging import release_list

    settings = load_settings(drops=drops)
    findings = [*release_list.find_damage(settings), *champion_tags.find_history_damage(settings)]
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(1)
    typer.echo("every release and every change of the champion is as it was written")


def diff(
    before: Annotated[str, typer.Argument(help="A release: id, night, refiner or its version, `current`.")],
    after: Annotated[str, typer.Argument(help="The release to compare it with.")],
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Compare two releases: schema, parameters, data, figures, and prompts for the 20 fixed cases."""
    from pipelines.packaging import release_list

    settings = load_settings(drops=drops)
    found = release_list.compare_releases(*(release_list.find_release(settings, name) for name in (before, after)))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(" → ".join(found["releases"]))
    for part in ("schema", "params", "data", "figures"):
        for name, (old, new) in found[part].items():
            typer.echo(f"{part}  {name}: {old} → {new}")
    for one in found["prompts"]:
        typer.echo(f"prompt  {one['case']}: {one['question']}")
        for sign, texts in (("+", one["added"]), ("−", one["dropped"])):
            for text in texts:
                typer.echo(f"  {sign} {text}")
        if one["style"][0] != one["style"][1]:
            typer.echo(f"  style {one['style'][0]} → {one['style'][1]}")
    if not any(found[part] for part in found if part != "releases"):
        typer.echo("no difference")


def promote(
    by: Annotated[str, typer.Option("--by", help="Who answers for it.")],
    why: Annotated[str, typer.Option("--why", help="Why it may be served although it is outside the plan.")],
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Promote the challenger that waits outside the change plan, and serve it; name and reason are stored."""
    from pipelines.night.decisions import promotions

    promoted = promotions.promote_waiting(load_settings(drops=drops), by, why)
    typer.echo(
        json.dumps(asdict(promoted)) if as_json else f"champion now: {promoted.id}, promoted by {by}, and served"
    )


def rollback(
    to: Annotated[
        str | None, typer.Option("--to", help="A former champion: its id or version; by default the last one.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who decides; by default this system's user.")] = None,
    why: Annotated[str, typer.Option("--why", help="Why.")] = "",
    drops: Drops = None,
    as_json: Json = False,
) -> None:
    """Go back to the former champion and serve it, in seconds; the replaced one is not promoted again."""
    from pipelines.evaluation.nightly.gate import describe_champion
    from pipelines.night.decisions import promotions

    settings = load_settings(drops=drops)
    back = promotions.roll_back(settings, to, by or getpass.getuser(), why)
    typer.echo(json.dumps(asdict(back)) if as_json else f"champion now: {describe_champion(settings)}")
