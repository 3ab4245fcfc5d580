"""Commands: ``pmlm package``, ``ask``, ``draft``, ``refine``, ``serve``, ``token``, ``link``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from pmlm.example_patient import ASKED, REFERENCE
from pmlm.settings import load_settings

Drops = Annotated[Path | None, typer.Option(help="The clinic: its folder of dated drops.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``pmlm``."""
    app.command(epilog="Example: pmlm package --json")(package)
    app.command(epilog=f"Example: pmlm ask {ASKED}")(ask)
    app.command(epilog=f"Example: pmlm draft {ASKED}")(draft)
    app.command(epilog=f"Example: pmlm refine --explain {ASKED}")(refine)
    app.command(epilog="Example: pmlm serve --port 3000")(serve)
    app.command(epilog=f"Example: pmlm token --patient {REFERENCE} --hours 8")(token)
    app.command(epilog="Example: pmlm link --minutes 30")(link)


def package(
    night: Annotated[
        str | None, typer.Option(help="The night (YYYYMMDD) whose release it is; default: the last.")
    ] = None,
    drops: Drops = None,
    json_: Annotated[bool, typer.Option("--json", help="End with the stage's summary as one JSON object.")] = False,
) -> None:
    """Make a release of the current champion and build its bento."""
    from pipelines.packaging import release

    settings = load_settings(drops=drops)
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
    prompts: Annotated[bool, typer.Option("--prompts", help="Show the initial and the refined prompt too.")] = False,
    drops: Drops = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Answer one patient's question, beside the answer without the record; exit 1 if the language model fails."""
    from rich.console import Console

    from pmlm.console import ask as asking

    asked = asking.ask_question(load_settings(drops=drops), patient, question, language, compare=True)
    if json_:
        typer.echo(json.dumps(asked.summarize(), ensure_ascii=False))
    else:
        Console().print(asking.render_asked(question, asked, prompts))
    if error := asked.response["llm"]["error"]:
        typer.secho(f"pmlm: {asked.response['llm']['model']} gave no answer: {error}", fg="red", err=True)
        raise typer.Exit(1)


def draft(
    patient: Annotated[str, typer.Argument(help="Patient/<id>, urn:uuid:<id>, <id>, or subject:<number>.")],
    question: Annotated[str, typer.Argument(help="The question in the patient's own words.")],
    drops: Drops = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Draft a reply for the clinician, in sentences that the clinic has often written, each with its fact."""
    from rich.console import Console

    from pmlm.console import draft as drafting

    made = drafting.draft_reply(load_settings(drops=drops), patient, question)
    if json_:
        typer.echo(made.model_dump_json())
    else:
        Console().print(drafting.render_draft(question, made))


def refine(
    patient: Annotated[str, typer.Argument(help="Patient/<id>, urn:uuid:<id>, <id>, or subject:<number>.")],
    question: Annotated[str, typer.Argument(help="The question in the patient's own words.")],
    explain: Annotated[bool, typer.Option("--explain", help="Measure what each choice changes in the reward.")] = False,
    reply: Annotated[
        str | None, typer.Option(help="The reply to measure on; default: the clinician's to the most similar question.")
    ] = None,
    language: Annotated[
        Literal["en", "zh"] | None, typer.Option(help="Language of the prompt; default: the question's.")
    ] = None,
    drops: Drops = None,
    json_: Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")] = False,
) -> None:
    """Show which sentences the refiner chose, dropped and moved in one patient's prompt, and why."""
    from rich.console import Console

    from pmlm.console import refine as refining

    found = refining.explain_refinement(
        load_settings(drops=drops), patient, question, language, explain or reply is not None, reply
    )
    if json_:
        typer.echo(json.dumps(found.json(), ensure_ascii=False))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(refining.render_refinement(found))


def serve(
    port: Annotated[int | None, typer.Option(help="Port to listen on; default: PMLM_PORT or 3000.")] = None,
    drops: Drops = None,
) -> None:
    """Serve the current release until interrupted; exit 1 if the endpoint dies."""
    import signal

    from bentos.auth import keys
    from pipelines.packaging import supervision
    from pipelines.packaging.running_endpoint import RunningEndpoint

    settings = load_settings(drops=drops)

    def end(*_: object) -> None:
        for name in (signal.SIGINT, signal.SIGTERM):  # what follows ends the endpoint too, undisturbed
            signal.signal(name, signal.SIG_IGN)
        raise SystemExit

    def announce(endpoint: RunningEndpoint) -> None:
        typer.echo(f"{endpoint.bento} answers at {endpoint.url} (Ctrl+C stops it)")
        typer.echo(f"tokens: {keys.token_path(settings)}, or `pmlm token`")

    # no sigwait: an unhandled signal would end this process and leave the endpoint behind
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, end)
    supervision.serve_in_foreground(settings, port, announce)


def token(
    patient: Annotated[
        list[str] | None, typer.Option(help="Bind it to this patient; may be repeated. Default: the whole clinic.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="A SMART scope; may be repeated. Default: system/Patient.rs.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 366, help="How long it is valid.")] = 24.0,
    client: Annotated[str, typer.Option(help="Who will use it; rate limits and the audit record go by it.")] = "pmlm",
    drops: Drops = None,
) -> None:
    """Print a bearer token for the endpoint, signed with the clinic's development key."""
    from bentos.auth import keys
    from bentos.auth.principal import subject_of

    settings = load_settings(drops=drops)
    subjects = [subject_of(settings, reference) for reference in patient] if patient else None
    typer.echo(keys.mint(settings, client, scope or keys.SCOPES, subjects, hours))


def link(
    minutes: Annotated[int, typer.Option(min=1, max=24 * 60, help="How long it signs somebody in.")] = 15,
    operations: Annotated[bool, typer.Option("--ops", help="Open the operations page instead.")] = False,
    drops: Drops = None,
) -> None:
    """Print a link that signs a browser in to the page of the running endpoint, for a short time."""
    from bentos.auth import keys
    from pipelines.packaging import serving
    from pmlm.errors import ServingError

    settings = load_settings(drops=drops)
    endpoint = serving.find_running_endpoint(settings)
    if endpoint is None:
        raise ServingError("no endpoint runs here: start one by `pmlm serve` or `pmlm up`")
    made = keys.mint(settings, "link", keys.SCOPES, None, minutes / 60)
    # in the fragment, which a browser sends to no server; the page removes it from the address bar
    typer.echo(f"{endpoint.url}/{'ops' if operations else ''}#token={made}")
