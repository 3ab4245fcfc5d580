"""Several connections side by side, each working at another part of the patients, and one order of what is written.

A part's queries leave a core idle now and then, so that two parts at a time take less than one after the other. Of
one file the parts are written in order, whichever lane has its rows first, and a lane holds the rows of one group at a
time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Any

import pyarrow as pa

#: Keeps on a connection what the groups' expressions ask of: ``moments`` and ``held``.
Holding = Callable[[Any], None]
#: The rows of a group, by its name, of what a connection holds.
Rows = Callable[[Any, str], pa.Table]
Write = Callable[[str, pa.Table], None]


def work(lanes: Sequence[Any], parts: Sequence[Holding], groups: Iterable[str], rows: Rows, write: Write) -> None:
    """Hold each of the parts on one of the lanes and write every group's rows of it; of a group the parts in order.

    What one lane raises, or what interrupts the caller, ends the lanes at their next write, and is raised.
    """
    names, left, turns = list(groups), iter(enumerate(parts)), _Turns()

    def one_after_another(lane: Any) -> None:
        try:
            for number, hold in left:
                hold(lane)
                for name in names:
                    table = rows(lane, name)
                    if not turns.come(name, number):
                        return
                    write(name, table)
                    turns.pass_on(name)
        except BaseException:
            turns.end()
            raise

    if len(lanes) == 1:
        one_after_another(lanes[0])
        return
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            for done in [pool.submit(one_after_another, lane) for lane in lanes]:
                done.result()
        except BaseException:  # whoever stops this build need not wait for its last part
            turns.end()
            raise


class _Turns:
    """Whose turn it is to write each file: that of the part after the one written last."""

    def __init__(self) -> None:
        self._written: Counter[str] = Counter()
        self._ended = False
        self._changed = Condition()

    def come(self, name: str, number: int) -> bool:
        """Wait for a part's turn at a file; False where there will be none, since another lane has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._written[name] == number)
            return not self._ended

    def pass_on(self, name: str) -> None:
        with self._changed:
            self._written[name] += 1
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
