"""Parts worked at side by side: written in order, none after a failure, and no lane meets what another keeps."""

from __future__ import annotations

import subprocess
import sys
from threading import Event
from typing import Any

import pyarrow as pa
import pytest

from pipelines.features.build.parallel_build import LoadTables, build_in_parallel
from pipelines.features.engines import duckdb_engine
from pmlm.settings import PROJECT

GROUPS = ("labs", "vitals")


class Parts:
    """Parts whose rows say which part and group they are of, and what was written of each group."""

    def __init__(self, count: int) -> None:
        self.holdings: list[LoadTables] = [self._holding(number) for number in range(count)]
        self.written: dict[str, list[int]] = {name: [] for name in GROUPS}

    def _holding(self, number: int) -> LoadTables:
        return lambda lane: lane.update(part=number)

    def rows(self, lane: dict[str, int], name: str) -> pa.Table:
        return pa.table({"part": [lane["part"]]})

    def write(self, name: str, table: pa.Table) -> None:
        self.written[name] += table["part"].to_pylist()


def two_lanes() -> list[dict[str, int]]:
    return [{}, {}]


def test_a_group_is_written_in_order_though_a_later_part_is_ready_first() -> None:
    parts, later = Parts(9), Event()

    def rows(lane: dict[str, int], name: str) -> pa.Table:
        if lane["part"] == 0:
            assert later.wait(60)
        elif lane["part"] == 1:
            later.set()
        return parts.rows(lane, name)

    build_in_parallel(two_lanes(), parts.holdings, GROUPS, rows, parts.write)
    assert parts.written == {name: list(range(9)) for name in GROUPS}


def test_one_lane_takes_all_parts() -> None:
    parts = Parts(3)
    build_in_parallel([{}], parts.holdings, GROUPS, parts.rows, parts.write)
    assert parts.written == {name: [0, 1, 2] for name in GROUPS}


@pytest.mark.parametrize("place", ["hold", "rows", "write"])
@pytest.mark.parametrize("failing", [0, 1, 4])
def test_a_failure_is_raised_and_nothing_of_its_group_is_written_from_there_on(place: str, failing: int) -> None:
    parts = Parts(9)

    def hold(lane: dict[str, int]) -> None:
        if place == "hold":
            raise KeyboardInterrupt
        lane["part"] = failing

    def rows(lane: dict[str, int], name: str) -> pa.Table:
        if place == "rows" and (lane["part"], name) == (failing, "vitals"):
            raise KeyboardInterrupt
        return parts.rows(lane, name)

    def write(name: str, table: pa.Table) -> None:
        if place == "write" and (table["part"][0].as_py(), name) == (failing, "vitals"):
            raise KeyboardInterrupt
        parts.write(name, table)

    parts.holdings[failing] = hold
    with pytest.raises(KeyboardInterrupt):
        build_in_parallel(two_lanes(), parts.holdings, GROUPS, rows, write)
    for name in GROUPS:
        assert parts.written[name] == list(range(len(parts.written[name])))
    assert len(parts.written["vitals"]) <= failing


INTERRUPTED = """
import signal, time
from threading import main_thread
import pyarrow as pa
from pipelines.features.build.parallel_build import build_in_parallel

written = []

def write(name, table):
    written.append(name)
    if len(written) == 2000:
        signal.pthread_kill(main_thread().ident, signal.SIGINT)
        time.sleep(0.2)

try:
    build_in_parallel([{}, {}], [lambda worker: None] * 10_000, ["labs"], lambda worker, name: pa.table({}), write)
except KeyboardInterrupt:
    print(len(written))
"""


def test_an_interrupt_does_not_wait_for_the_last_part() -> None:
    """In a process of its own, whose main thread is the one that an interrupt reaches."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert 2000 <= int(done.stdout) < 10_000


def test_a_lane_meets_what_the_connection_keeps_and_not_what_another_lane_does() -> None:
    def told(connection: Any) -> list[tuple[int]]:
        return connection.con.sql("SELECT n FROM told").fetchall()  # type: ignore[no-any-return]

    with duckdb_engine.connect() as connection:
        connection.raw_sql("CREATE TABLE told AS SELECT 1 AS n")
        with duckdb_engine.open_workers(connection, duckdb_engine.WORKERS) as lanes:
            assert len(lanes) == duckdb_engine.WORKERS > 1
            assert all(told(lane) == [(1,)] for lane in lanes)
            duckdb_engine.create_table(lanes[0], "told", "SELECT 2 AS n")
            assert [told(lane) for lane in lanes[:2]] == [[(2,)], [(1,)]]
            assert lanes[0].table("told").to_pyarrow()["n"].to_pylist() == [2]
            (zone,) = lanes[1].con.sql("SELECT current_setting('TimeZone')").fetchall()
            assert zone == ("UTC",)
        assert told(connection) == [(1,)]


def test_one_part_is_worked_at_by_the_connection_itself() -> None:
    with duckdb_engine.connect() as connection, duckdb_engine.open_workers(connection, 1) as lanes:
        assert lanes == [connection]


def test_lanes_share_the_threads_and_give_them_back() -> None:
    with duckdb_engine.connect() as connection:

        def threads() -> int:
            return int(connection.con.execute("SELECT current_setting('threads')").fetchall()[0][0])

        connection.raw_sql("SET threads = 7")
        with duckdb_engine.open_workers(connection, 3) as lanes:
            assert threads() * len(lanes) <= 7
        assert threads() == 7
