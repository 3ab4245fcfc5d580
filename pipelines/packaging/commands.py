"""``pmlm package``, ``pmlm ask``, ``pmlm serve``: from a champion to an answer."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.settings import load

Drops = Annotated[Path | None, typer.Option(help="The clinic: its folder of dated drops.")]


def register(app: typer.Typer) -> None:
    """Add this room's commands to ``pmlm``."""
    app.command(epilog="Example: pmlm package --json")(package)
    app.command(epilog='Example: pmlm ask Patient/6f0c4a1e "Is it normal to feel this tired?"')(ask)
    app.command(epilog="Example: pmlm serve --port 3000")(serve)


def package(
    night: Annotated[
        str | None, typer.Option(help="The night (YYYYMMDD) whose release it is; default: the last.")
    ] = None,
    drops: Drops = None,
    json_: Annotated[bool, typer.Option("--json", help="End with the stage's summary as one JSON object.")] = False,
) -> None:
    """Make a release of the current champion and build its bento."""
    from pipelines.packaging import release

    settings = load(drops=drops)
    summary = release.run(settings, night or f"{settings.now():%Y%m%d}")
    typer.echo(f"release {summary.hashes['release']} is packaged as {summary.figures['bento']}")
    if json_:
        typer.echo(json.dumps(asdict(summary)))


def ask(
    patient: Annotated[str, typer.Argument(help="Patient/<id>, urn:uuid:<id>, <id>, or subject:<number>.")],
    question: Annotated[str, typer.Argument(help="The question in the patient's own words.")],
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="Language of the prompt; default: the question's.")
    ] = None,
    drops: Drops = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Answer one patient's question: initial prompt, refined prompt and answer side by side."""
    from rich.console import Console

    from pipelines.packaging import ask as asking

    answer = asking.ask(load(drops=drops), patient, question, language)
    if json_:
        typer.echo(json.dumps(answer, ensure_ascii=False))
    else:
        Console().print(asking.side_by_side(question, answer))


def serve(
    port: Annotated[int | None, typer.Option(help="Port to listen on; default: PMLM_PORT or 3000.")] = None,
    drops: Drops = None,
) -> None:
    """Serve the current release until interrupted."""
    import signal

    from pipelines.packaging import serving

    settings = load(drops=drops)
    endpoint = serving.start(settings, port)
    typer.echo(f"{endpoint.bento} answers at {endpoint.url} (Ctrl+C stops it)")
    try:
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        serving.stop_recorded(settings)
