"""``pmlm codes``: the clinic's own codes that nothing maps, by how many patients they concern."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pmlm.settings import load_settings


def register(app: typer.Typer) -> None:
    """Add the command to ``pmlm``."""
    app.command("codes", epilog="Example: pmlm codes --most 20")(list_codes)


def list_codes(
    most: Annotated[int, typer.Option(min=1, help="List so many codes at most.")] = 50,
    drops: Annotated[Path | None, typer.Option("--drops", help="The clinic's folder of drops.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """List codes that PMLM cannot read, those of most patients first; map them in codes.csv or a ConceptMap."""
    from pipelines.records.unmapped_codes import list_unmapped_codes

    found = list_unmapped_codes(load_settings(drops=drops))
    if as_json:
        typer.echo(json.dumps({"codes": [asdict(code) for code in found[:most]], "unmapped": len(found)}))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("code", "kind", "patients", "events", "text")
    for code in found[:most]:
        table.add_row(code.code, code.kind, str(code.patients), str(code.events), code.text)
    Console(markup=False).print(table)  # a local code's text may have brackets
    typer.echo(f"{len(found)} codes without a public meaning; map them in codes.csv or a ConceptMap beside clinic.yaml")
