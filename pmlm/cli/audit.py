"""``pmlm audit``: who asked about a patient; whether a line was removed or changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pmlm.example_patient import REFERENCE
from pmlm.settings import Settings, load_settings

VERIFY = "verify"
MOST_FINDINGS = 20


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command(epilog=f"Examples: pmlm audit {REFERENCE} --json\n\npmlm audit verify")(audit)


def audit(
    patient: Annotated[
        str | None,
        typer.Argument(help="Only accesses to this patient; default: all. The word `verify` checks the record."),
    ] = None,
    client: Annotated[str | None, typer.Option(help="Only accesses by this client.")] = None,
    drops: Annotated[Path | None, typer.Option(help="The clinic: its folder of dated drops.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Show who asked the endpoint about a patient: when, by which route, with what outcome.

    `pmlm audit verify` checks that no line of the record was removed, changed, moved or cut off. It exits with 1 if
    one was, and its last line names the first.
    """
    settings = load_settings(drops=drops)
    if patient == VERIFY:
        _verify(settings, json_)
    else:
        _show(settings, patient, client, json_)


def _show(settings: Settings, patient: str | None, client: str | None, as_json: bool) -> None:
    from bentos.auth import audit as record
    from bentos.auth.principal import subject_of

    subject = subject_of(settings, patient) if patient else None
    for access in record.read(settings, subject, client):
        if as_json:
            typer.echo(access.model_dump_json())
        else:
            who, whom = f"client {access.client or '–'}", f"patient {access.patient or '–'}"
            typer.echo(f"{access.at:%Y-%m-%d %H:%M:%S}  {access.outcome}  {access.route}  {who}  {whom}")


def _verify(settings: Settings, as_json: bool) -> None:
    from bentos.auth import audit as record
    from bentos.auth.audit_check import verify

    check = verify(settings, record.folder(settings))
    if as_json:
        typer.echo(json.dumps(asdict(check)))
    else:
        for finding in check.findings[:MOST_FINDINGS]:
            typer.echo(finding)
        if len(check.findings) > MOST_FINDINGS:
            typer.echo(f"and {len(check.findings) - MOST_FINDINGS} more")
        typer.echo(
            f"{check.lines} lines chained, {check.before} before the chain, {check.torn} torn, "
            f"{check.erased} of erased patients; "
            f"last number {check.last}, chain {check.chain or '–'}; saved nights confirm up to number {check.saved}"
        )
        first = f"not as it was written, first: {check.findings[0]}" if check.findings else "no line removed or changed"
        typer.echo(f"the record: {first}")
    if check.findings:
        raise typer.Exit(1)
