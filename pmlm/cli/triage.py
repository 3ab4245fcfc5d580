"""``pmlm triage``: which messages are an emergency, urgent or routine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command(epilog="Example: pmlm triage examples/triage.jsonl --json")(triage)


def triage(
    file: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="JSON Lines: id, text, lang (en, zh), context (optional)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per message: id, label, signs, why.")] = False,
    evaluate: Annotated[bool, typer.Option("--evaluate", help="Measure on FILE's own labels, by trap.")] = False,
    learn: Annotated[bool, typer.Option("--learn", help="Refit the classifier and write its weights.")] = False,
) -> None:
    """Label messages emergency, urgent or routine, with reasons; exit 1 for a bad line.

    Context is {"pregnant": true, "gestational_weeks": 31, "postpartum_weeks": null}, as far as known.
    """
    from models.encoder import MiniLM

    encoder = MiniLM()
    if learn:
        from pipelines.triage.fit_classifier import fit_and_save as fit

        typer.echo(f"thresholds: {fit(encoder)}")
    elif evaluate:
        from pipelines.triage import corpus, evaluation

        rows = evaluation.build_rows(corpus.read_judged(file or corpus.ROUNDS), encoder)
        typer.echo("\n".join(json.dumps(r) for r in rows) if as_json else evaluation.format_table(rows))
    elif file is None:
        raise typer.BadParameter("a FILE of messages is needed", param_hint="FILE")
    else:
        _answer(file, as_json, encoder)


def _answer(file: Path, as_json: bool, encoder: object) -> None:
    from pipelines.triage import messages

    bad = 0
    with file.open("rb") as lines:
        for message in messages.read_messages(lines):
            if isinstance(message, messages.BadLine):
                bad += 1
                typer.secho(f"line {message.number}: {message.problem}", fg="red", err=True)
                continue
            answer = messages.triage_message(message, encoder)  # type: ignore[arg-type]
            words = json.dumps(answer, ensure_ascii=False)
            typer.echo(words if as_json else f"{answer['label']:<9}  {answer['id']}  {'; '.join(answer['why'])}")
    if bad:
        typer.secho(f"pmlm: {bad} bad lines of {file}", fg="red", err=True)
        raise typer.Exit(1)
