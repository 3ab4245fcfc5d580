"""Write to a store in its own thread: one that does not answer delays nobody.

A caller waits for its write at most ``PATIENCE_S``. A write that should not be lost stays in line after that, and one
that failed is tried again once the store takes writes again; any other is given up with its request.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent import futures
from dataclasses import dataclass, field

from bentos.telemetry import logs, metrics
from pmlm.errors import RecordUnavailableError

PATIENCE_S = 1.5  # a disk that a night saves to may take a second
MOST_WAITING = 1000
MOST_RETRIED = 200

Write = Callable[[], object]


@dataclass(slots=True)
class PendingWrite:
    """One write in line: ``done`` gets what went wrong, or None; ``persist``: it is tried again where it fails."""

    store: str
    write: Write
    persist: bool
    done: futures.Future[Exception | None] = field(default_factory=futures.Future)

    def failed(self) -> bool:
        """Whether the store has not taken it by now; a write that need not persist is then given up."""
        if not self.persist:
            self.done.cancel()
        ended = self.done.done() and not self.done.cancelled()
        error = self.done.result() if ended else TimeoutError()
        if error is None:
            return False
        metrics.UNRECORDED.labels(self.store).inc()
        logs.logger().warning("not recorded", store=self.store, error=type(error).__name__)
        return True


class StoreWriter:
    """The writes to one store, in order of arrival; ``store`` is its name in logs and metrics."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._waiting: queue.Queue[PendingWrite] = queue.Queue(MOST_WAITING)
        self._failed: deque[Write] = deque(maxlen=MOST_RETRIED)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, write: Write, *, persist: bool = False) -> PendingWrite:
        """Put a write in line; it fails at once where the line is full."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"pmlm-write-{self._store}", daemon=True)
                self._thread.start()
        pending = PendingWrite(self._store, write, persist)
        try:
            self._waiting.put_nowait(pending)
        except queue.Full as error:
            pending.done.set_result(error)
        return pending

    def write(self, write: Write) -> None:
        """Write, waiting at most ``PATIENCE_S``; :class:`RecordUnavailableError` where that fails."""
        pending = self.submit(write)
        wait_for_writes([pending])
        if pending.failed():
            raise RecordUnavailableError

    def _run(self) -> None:
        while True:
            pending = self._waiting.get()
            if pending.done.set_running_or_notify_cancel():
                pending.done.set_result(self._try(pending))

    def _try(self, pending: PendingWrite) -> Exception | None:
        try:
            pending.write()
        except Exception as error:
            if pending.persist:
                self._failed.append(pending.write)
            return error
        self._retry()
        return None

    def _retry(self) -> None:
        """Write what failed before, now that the store takes writes again."""
        while self._failed:
            try:
                self._failed[0]()
            except Exception:
                return
            self._failed.popleft()


def wait_for_writes(pending: Iterable[PendingWrite]) -> None:
    """Wait in this thread until all are done, at most ``PATIENCE_S``."""
    futures.wait([one.done for one in pending], PATIENCE_S)


async def await_writes(pending: Iterable[PendingWrite]) -> None:
    """Let the event loop run until all are done, at most ``PATIENCE_S``."""
    await asyncio.wait([asyncio.wrap_future(one.done) for one in pending], timeout=PATIENCE_S)
