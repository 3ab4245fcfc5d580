"""The night as it goes: a line for each stage that ends, and below them what runs now, since when, and the counts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from types import TracebackType

from rich.console import Console
from rich.status import Status

from pipelines.night import stages
from pipelines.runs import StageSummary, summaries
from pmlm.settings import Settings

POLL_S = 0.2
MARKS = {"done": "[green]✓[/]", "hold": "[yellow]‖[/]", "noop": "[dim]–[/]"}


class Progress:
    """Follows the summaries that stages write, in this process or another, until the block ends."""

    def __init__(self, console: Console, settings: Settings, nights: list[str]) -> None:
        self._console = console
        self._settings = settings
        self._nights = nights
        self._started = datetime.now(UTC)
        self._shown: set[tuple[str, str, float]] = set()
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
        for summary in self._new():
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
        known = night in self._nights
        count = f" ({self._nights.index(night) + 1} of {len(self._nights)})" if known else ""
        return f"night {format_night(night)}{count}"

    def _new(self) -> list[StageSummary]:
        """Summaries written since the start that have no line yet, oldest first."""
        found = []
        for night in self._nights:
            for summary in summaries(self._settings, night):
                path = self._settings.runs / night / f"{summary.stage}.json"
                written = path.stat().st_mtime
                mark = (night, summary.stage, written)
                if written >= self._started.timestamp() and mark not in self._shown:
                    self._shown.add(mark)
                    found.append((written, summary))
        return [summary for _, summary in sorted(found, key=lambda pair: pair[0])]


def format_stage(summary: StageSummary) -> str:
    """One finished stage in one line of markup."""
    quarantined = f"{summary.quarantined:,} quarantined" if summary.quarantined else ""
    counts = f"{summary.rows_in:>9,} → {summary.rows_out:<9,} {summary.seconds:>6.1f} s"
    mark = MARKS.get(summary.status, summary.status)
    said = " · ".join(filter(None, (quarantined, summary.detail)))
    return f"{mark} {format_night(summary.night)}  {summary.stage:<11} {counts}  {said}"


def format_night(night: str) -> str:
    return f"{night[:4]}-{night[4:6]}-{night[6:]}"
