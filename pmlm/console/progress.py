"""Show a running night: one line per finished stage, then the running one."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.status import Status

from pipelines.night import stages
from pipelines.runs import StageSummary, read_summaries
from pmlm.settings import Settings

POLL_S = 0.2
FILE_WIDTH = 120  # columns, where the output is a file or a pipe
MARKS = {"done": "[green]✓[/]", "hold": "[yellow]‖[/]", "noop": "[dim]–[/]"}


def redirect_output(log: Path) -> Console:
    """Send standard output and error to ``log`` and return a console on the real output.

    Until the process ends, because libraries still print while the interpreter shuts down; child processes write to
    the log too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    screen = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    return Console(file=screen, highlight=False, width=None if screen.isatty() else FILE_WIDTH)


class Progress:
    """Print the summaries that stages write, in this process or another, until the block ends."""

    def __init__(self, console: Console, settings: Settings, nights: list[str]) -> None:
        self._console = console
        self._settings = settings
        self._nights = nights
        self._started = datetime.now(UTC)
        self._printed: set[tuple[str, str, float]] = set()
        self._read = self._quarantined = 0
        self._ended = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._follower.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._follower.join()

    def _follow(self) -> None:
        with self._console.status("starting Airflow") as status:
            while not self._ended.wait(POLL_S):
                self._show(status)
            self._show(status)

    def _show(self, status: Status) -> None:
        for summary in self._find_new():
            self._console.print(format_stage(summary), soft_wrap=True)
            if summary.stage == "records":
                self._read += summary.rows_in
                self._quarantined += summary.quarantined
        running = stages.read_running_stage(self._settings)
        if running:
            seconds = (datetime.now(UTC) - datetime.fromisoformat(running["since"])).total_seconds()
            status.update(
                f"{self._position(running['night'])} · [bold]{running['stage']}[/] {seconds:.0f} s"
                f" · {self._read:,} records read, {self._quarantined:,} quarantined so far"
            )

    def _position(self, night: str) -> str:
        count = f" ({self._nights.index(night) + 1} of {len(self._nights)})" if night in self._nights else ""
        return f"night {format_night(night)}{count}"

    def _find_new(self) -> list[StageSummary]:
        """Summaries written since the start and not printed yet, oldest first."""
        found = []
        for night in self._nights:
            for summary in read_summaries(self._settings, night):
                path = self._settings.runs / night / f"{summary.stage}.json"
                written = path.stat().st_mtime
                mark = (night, summary.stage, written)
                if written >= self._started.timestamp() and mark not in self._printed:
                    self._printed.add(mark)
                    found.append((written, summary))
        return [summary for _, summary in sorted(found, key=lambda pair: pair[0])]


def format_stage(summary: StageSummary) -> str:
    """Describe a finished stage in one line of markup."""
    quarantined = f"{summary.quarantined:,} quarantined" if summary.quarantined else ""
    counts = f"{summary.rows_in:>9,} → {summary.rows_out:<9,} {summary.seconds:>6.1f} s"
    mark = MARKS.get(summary.status, summary.status)
    notes = " · ".join(filter(None, (quarantined, summary.detail)))
    return f"{mark} {format_night(summary.night)}  {summary.stage:<11} {counts}  {notes}"


def format_night(night: str) -> str:
    return f"{night[:4]}-{night[4:6]}-{night[6:]}"
