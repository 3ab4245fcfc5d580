"""``pmlm night``: what waits is taken in and learnt from, with a screen to watch; the same for one night by date."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from rich.console import Console

from pipelines.night import airflow_processes, airflow_runs, night, sample_question
from pipelines.night.status import collect_status, log_path
from pmlm.console import screen
from pmlm.console.progress import Progress, format_night
from pmlm.console.terminal import redirect_output
from pmlm.errors import NightError, PmlmError, UnknownNightError
from pmlm.settings import Settings


def run_pending_nights(settings: Settings, date: str | None = None, as_json: bool = False) -> None:
    """Run every pending night through Airflow, or the one of ``date`` (YYYYMMDD) in this process.

    Where a stage fails it says so and exits 1: what was done before stands, and the next call goes on from there.
    """
    nights = [_check_night_exists(settings, date)] if date else night.list_pending_nights(settings)
    if not nights:
        _report_no_new_records(settings, as_json)
        return
    console = redirect_output(log_path(settings, nights[-1]))
    try:
        _run_and_show(console, settings, nights, through_airflow=date is None, as_json=as_json)
    except Exception as error:
        traceback.print_exc()
        said = str(error) if isinstance(error, PmlmError) else f"{type(error).__name__}: {error}"
        console.print(f"[red]pmlm: {said}[/]", soft_wrap=True)
        console.print(
            f"See {log_path(settings, nights[-1])}; `pmlm night` goes on from where it ended.", soft_wrap=True
        )
        raise typer.Exit(1) from error


def _run_and_show(
    console: Console, settings: Settings, nights: list[str], through_airflow: bool, as_json: bool
) -> None:
    console.print(_format_heading(settings, nights))
    with _exit_on_interrupt(console), Progress(console, settings, nights):
        if through_airflow:
            _run_through_airflow(settings)
        else:
            night.run_night(settings, nights[-1])
    status = collect_status(settings, nights)
    with console.status("asking the endpoint one patient's question"):
        asked = sample_question.ask(settings, nights[-1])
    screen.show_night(console, status, asked)
    if as_json:
        console.out(json.dumps({"status": "done", **status, "example": asked}, ensure_ascii=False), highlight=False)


@contextmanager
def _exit_on_interrupt(console: Console) -> Iterator[None]:
    """Ctrl+C ends the process at once: Airflow would take it for a failed task, and try that again."""

    def end(number: int, frame: FrameType | None) -> None:
        console.show_cursor()
        console.print("interrupted: what was done stands, and `pmlm night` goes on from there", soft_wrap=True)
        console.file.flush()
        os._exit(128 + number)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run_through_airflow(settings: Settings) -> None:
    through = (
        airflow_runs.run_through_server if airflow_processes.is_airflow_up(settings) else airflow_runs.run_in_process
    )
    outcome = through(settings)
    if not outcome.succeeded:
        failed = ", ".join(outcome.failed) or "the run"
        raise NightError(f"{failed} failed; Airflow's logs lie in {airflow_runs.log_folder(settings, outcome.run_id)}")


def _format_heading(settings: Settings, nights: list[str]) -> str:
    several = f" to {format_night(nights[-1])}, {len(nights)} nights" if nights[1:] else ""
    return f"[bold]PMLM[/] · {settings.clinic} · {format_night(nights[0])}{several}"


def _report_no_new_records(settings: Settings, as_json: bool) -> None:
    taken = night.list_nights(settings)
    if not taken:
        raise NightError(f"no drop lies in {settings.drops}: folders named YYYY-MM-DD with FHIR R4 files")
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]No new records[/] for {settings.clinic}: the last night is {format_night(taken[-1])}. "
        "Nothing to do; `pmlm status` sums it up."
    )
    if as_json:
        nothing: dict[str, Any] = {"status": "noop", "clinic": settings.clinic, "nights": [], "last": taken[-1]}
        console.out(json.dumps(nothing), highlight=False)


def _check_night_exists(settings: Settings, date: str) -> str:
    from pipelines.records import drops

    if date not in {drop.night for drop in drops.drops(settings)} | set(night.list_nights(settings)):
        raise UnknownNightError(f"no drop of {format_night(date)} lies in {settings.drops}")
    return date
