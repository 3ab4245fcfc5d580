"""Build partitions in parallel, one worker connection each, and write every file in partition order.

A partition's queries leave cores idle now and then, so two at a time take less than one after the other. Whichever
worker has its rows first, a file gets them in order, and a worker has the rows of one group in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Any

#: Creates on a connection the tables that the groups' expressions read.
LoadTables = Callable[[Any], None]
#: Computes the rows of a group, by its name, from a connection's tables.
ComputeRows = Callable[[Any, str], Any]
WriteRows = Callable[[str, Any], None]


def build_in_parallel(
    workers: Sequence[Any],
    loads: Sequence[LoadTables],
    groups: Iterable[str],
    compute: ComputeRows,
    write: WriteRows,
) -> None:
    """Load each partition on a worker, then compute and write its rows per group.

    What one worker raises, or what interrupts the caller, ends all workers at their next write, and is raised.
    """
    names, remaining, turns = list(groups), iter(enumerate(loads)), _Turns()

    def build_remaining(worker: Any) -> None:
        try:
            for number, load in remaining:
                load(worker)
                for name in names:
                    rows = compute(worker, name)
                    if not turns.wait(name, number):
                        return
                    write(name, rows)
                    turns.advance(name)
        except BaseException:
            turns.stop()
            raise

    if len(workers) == 1:
        build_remaining(workers[0])
        return
    with ThreadPoolExecutor(len(workers)) as pool:
        try:
            for done in [pool.submit(build_remaining, worker) for worker in workers]:
                done.result()
        except BaseException:  # an interrupt does not wait for the partitions that are left
            turns.stop()
            raise


class _Turns:
    """Says which partition may write each file next: the one after the partition written last."""

    def __init__(self) -> None:
        self._written: Counter[str] = Counter()
        self._stopped = False
        self._changed = Condition()

    def wait(self, name: str, number: int) -> bool:
        """Wait for a partition's turn at a file; False if another worker has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._written[name] == number)
            return not self._stopped

    def advance(self, name: str) -> None:
        with self._changed:
            self._written[name] += 1
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
