"""``pmlm night``: run the pending nights, or one by date, with a screen to watch."""

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

from pipelines.night import night
from pipelines.night.schedule import airflow_processes, airflow_runs
from pipelines.night.status import collect_status, log_path
from pmlm.console import screen
from pmlm.console.progress import Progress, format_night, redirect_output
from pmlm.errors import NightError, PmlmError, UnknownNightError
from pmlm.night_lock import name_night
from pmlm.settings import Settings

#: The clinic of ``examples/clinic``; `time make night` on a fresh clone gives what the heading promises.
SAMPLE = "sample"


def run_pending_nights(settings: Settings, date: str | None = None, train: bool = False, as_json: bool = False) -> None:
    """Run every pending night through Airflow, or the one of ``date`` (YYYYMMDD) in this process.

    With ``train`` the last of them trains, whether or not there is cause to. Exits 1 where a stage fails; what was done
    before it stands, and the next call goes on from there.
    """
    chosen = _check_night_exists(settings, date) if date else None
    if train:
        night.force_training(settings, "asked for by `pmlm night --train`", chosen)
    nights = [chosen] if chosen else night.list_pending_nights(settings)
    if not nights:
        _report_no_new_records(settings, as_json)
        return
    name_night(settings, nights[-1])
    log = log_path(settings, nights[-1])
    console = redirect_output(log)
    try:
        _run_and_show(console, settings, nights, through_airflow=date is None, as_json=as_json)
    except Exception as error:
        traceback.print_exc()
        message = str(error) if isinstance(error, PmlmError) else f"{type(error).__name__}: {error}"
        console.print(f"[red]pmlm: {message}[/]", soft_wrap=True)
        console.print(f"See {log}; `pmlm night` goes on from where it ended.", soft_wrap=True)
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
        example = _ask_sample_question(settings, nights[-1])
    screen.show_night(console, status, example)
    if as_json:
        console.out(json.dumps({"status": "done", **status, "example": example}, ensure_ascii=False), highlight=False)


@contextmanager
def _exit_on_interrupt(console: Console) -> Iterator[None]:
    """Let Ctrl+C end the process at once; Airflow would retry it as a failed task."""

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
    run = airflow_runs.run_through_server if airflow_processes.is_airflow_up(settings) else airflow_runs.run_in_process
    result = run(settings)
    if not result.succeeded:
        failed = ", ".join(result.failed) or "the run"
        raise NightError(f"{failed} failed; Airflow's logs are in {airflow_runs.log_folder(settings, result)}")


def _ask_sample_question(settings: Settings, night: str) -> dict[str, Any] | None:
    """``{"patient", "question", "answer"}`` of this night's release; None where no patient has asked."""
    from pipelines.packaging import serving

    chosen = _choose_sample_question(settings)
    if chosen is None:
        return None
    subject, question = chosen
    patient = f"subject:{subject}"
    return {
        "patient": patient,
        "question": question,
        "answer": serving.smoke_test_release(settings, night, patient, question),
    }


def _choose_sample_question(settings: Settings) -> tuple[int, str] | None:
    """Subject id and question, the same for the same episodes.

    The first of the test split, by id, without a red flag or a name that de-identification removed; else the first.
    """
    from models.safety.triage.rules import find_red_flags
    from pipelines.episodes import episode_file

    candidates = sorted(
        (e for e in episode_file.read_episodes(settings) if e.split == "test"), key=lambda e: e.episode_id
    )
    calm = [e for e in candidates if "[" not in e.question and not find_red_flags(e.question, "en")]
    chosen = next(iter(calm or candidates), None)
    return (chosen.subject_id, chosen.question) if chosen else None


def _format_heading(settings: Settings, nights: list[str]) -> str:
    several = f" to {format_night(nights[-1])}, {len(nights)} nights" if nights[1:] else ""
    takes = (
        "four to eight minutes on two cores" if settings.clinic == SAMPLE else "minutes to hours, by the clinic's size"
    )
    return (
        f"[bold]PMLM[/] · {settings.clinic} · {format_night(nights[0])}{several}\n"
        f"Takes the records in, trains if there is cause, packages: {takes}. What libraries print is in the log."
    )


def _report_no_new_records(settings: Settings, as_json: bool) -> None:
    nights = night.list_nights(settings)
    if not nights:
        raise NightError(f"no drop in {settings.drops}: folders named YYYY-MM-DD with FHIR R4 files")
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]No new records[/] for {settings.clinic}: the last night is {format_night(nights[-1])}. "
        "Nothing to do; `pmlm status` sums it up."
    )
    from pipelines.night.finished.restore import read_unpacked_night  # with what serves a release, which no night needs

    if read_unpacked_night(settings) is not None:
        console.print(
            "The night came with the repository (`make demo`). To run it yourself: PMLM_HOME=another-folder make night"
        )
    if as_json:
        nothing: dict[str, Any] = {"status": "noop", "clinic": settings.clinic, "nights": [], "last": nights[-1]}
        console.out(json.dumps(nothing), highlight=False)


def _check_night_exists(settings: Settings, date: str) -> str:
    from pipelines.records import drops

    if date not in {drop.night for drop in drops.list_drops(settings)} | set(night.list_nights(settings)):
        raise UnknownNightError(f"no drop of {format_night(date)} in {settings.drops}")
    return date
