"""``pmlm night``: what waits is taken in and learnt from, with a screen to watch; the same for one night by date."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from pipelines.errors import NightError, UnknownNightError
from pipelines.night import airflow, example, night, screen, services
from pipelines.night.progress import Progress, dated
from pipelines.night.status import collect, log_path
from pipelines.night.terminal import screen_of_its_own
from pipelines.settings import Settings


def run(settings: Settings, date: str | None = None, as_json: bool = False) -> None:
    """Run every pending night through Airflow, or the one of ``date`` (YYYYMMDD) in this process.

    NightError where a stage fails: what was done before it stands, and the next call goes on from there.
    """
    nights = [_known(settings, date)] if date else night.pending(settings)
    if not nights:
        _say_nothing_to_do(settings, as_json)
        return
    with screen_of_its_own(log_path(settings, nights[-1])) as console:
        console.print(_heading(settings, nights))
        with Progress(console, settings, nights):
            if date:
                night.run(settings, date)
            else:
                _through_airflow(settings, nights)
        status = collect(settings, nights)
        with console.status("asking the endpoint one patient's question"):
            asked = example.ask(settings, nights[-1])
        screen.show(console, settings, status, asked)
        if as_json:
            console.out(json.dumps({"status": "done", **status, "example": asked}, ensure_ascii=False), highlight=False)


def _through_airflow(settings: Settings, nights: list[str]) -> None:
    if services.airflow_is_up(settings):
        outcome = airflow.through_server(settings)
    else:
        outcome = airflow.in_process(settings)
    if not outcome.succeeded:
        failed = ", ".join(outcome.failed) or "the run"
        raise NightError(
            f"{failed} failed; see {log_path(settings, nights[-1])} and {airflow.logs(settings, outcome.run_id)}. "
            "What was done before it stands; `pmlm night` goes on from there."
        )


def _heading(settings: Settings, nights: list[str]) -> str:
    several = f" to {dated(nights[-1])}, {len(nights)} nights" if nights[1:] else ""
    return f"[bold]PMLM[/] · {settings.clinic} · {dated(nights[0])}{several}"


def _say_nothing_to_do(settings: Settings, as_json: bool) -> None:
    taken = night.taken_in(settings)
    last = f"the last night is {dated(taken[-1])}" if taken else f"no drop lies in {settings.drops}"
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]No new records[/] for {settings.clinic}: {last}. Nothing to do; `pmlm status` sums it up.")
    if as_json:
        nothing: dict[str, Any] = {"status": "noop", "clinic": settings.clinic, "nights": [], "last": taken[-1:]}
        console.out(json.dumps(nothing), highlight=False)


def _known(settings: Settings, date: str) -> str:
    from pipelines.records import drops

    if date not in {drop.night for drop in drops.drops(settings)} | set(night.taken_in(settings)):
        raise UnknownNightError(f"no drop of {dated(date)} lies in {settings.drops}")
    return date
