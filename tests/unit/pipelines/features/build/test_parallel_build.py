"""Partitions built in parallel are written in order, none after a failure, by isolated workers."""

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


class Partitions:
    """Partitions whose rows name them, and what was written of each group."""

    def __init__(self, count: int) -> None:
        self.loads: list[LoadTables] = [self._make_load(number) for number in range(count)]
        self.written: dict[str, list[int]] = {name: [] for name in GROUPS}

    def _make_load(self, number: int) -> LoadTables:
        return lambda worker: worker.update(part=number)

    def rows(self, worker: dict[str, int], name: str) -> pa.Table:
        return pa.table({"part": [worker["part"]]})

    def write(self, name: str, table: pa.Table) -> None:
        self.written[name] += table["part"].to_pylist()


def make_workers() -> list[dict[str, int]]:
    return [{}, {}]


def test_a_group_is_written_in_order_though_a_later_part_is_ready_first() -> None:
    partitions, later = Partitions(9), Event()

    def rows(worker: dict[str, int], name: str) -> pa.Table:
        if worker["part"] == 0:
            assert later.wait(60)
        elif worker["part"] == 1:
            later.set()
        return partitions.rows(worker, name)

    build_in_parallel(make_workers(), partitions.loads, GROUPS, rows, partitions.write)
    assert partitions.written == {name: list(range(9)) for name in GROUPS}


def test_one_lane_takes_all_parts() -> None:
    partitions = Partitions(3)
    build_in_parallel([{}], partitions.loads, GROUPS, partitions.rows, partitions.write)
    assert partitions.written == {name: [0, 1, 2] for name in GROUPS}


@pytest.mark.parametrize("place", ["load", "rows", "write"])
@pytest.mark.parametrize("failing", [0, 1, 4])
def test_a_failure_is_raised_and_nothing_of_its_group_is_written_from_there_on(place: str, failing: int) -> None:
    partitions = Partitions(9)

    def load(worker: dict[str, int]) -> None:
        if place == "load":
            raise KeyboardInterrupt
        worker["part"] = failing

    def rows(worker: dict[str, int], name: str) -> pa.Table:
        if place == "rows" and (worker["part"], name) == (failing, "vitals"):
            raise KeyboardInterrupt
        return partitions.rows(worker, name)

    def write(name: str, table: pa.Table) -> None:
        if place == "write" and (table["part"][0].as_py(), name) == (failing, "vitals"):
            raise KeyboardInterrupt
        partitions.write(name, table)

    partitions.loads[failing] = load
    with pytest.raises(KeyboardInterrupt):
        build_in_parallel(make_workers(), partitions.loads, GROUPS, rows, write)
    for name in GROUPS:
        assert partitions.written[name] == list(range(len(partitions.written[name])))
    assert len(partitions.written["vitals"]) <= failing


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
    """It runs in a process of its own, since an interrupt reaches a main thread."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert 2000 <= int(done.stdout) < 10_000


def test_a_lane_meets_what_the_connection_keeps_and_not_what_another_lane_does() -> None:
    def read_numbers(connection: Any) -> list[tuple[int]]:
        return connection.con.sql("SELECT n FROM numbers").fetchall()  # type: ignore[no-any-return]

    with duckdb_engine.connect() as connection:
        connection.raw_sql("CREATE TABLE numbers AS SELECT 1 AS n")
        with duckdb_engine.open_workers(connection, duckdb_engine.WORKERS) as workers:
            assert len(workers) == duckdb_engine.WORKERS > 1
            assert all(read_numbers(worker) == [(1,)] for worker in workers)
            duckdb_engine.create_table(workers[0], "numbers", "SELECT 2 AS n")
            assert [read_numbers(worker) for worker in workers[:2]] == [[(2,)], [(1,)]]
            assert workers[0].table("numbers").to_pyarrow()["n"].to_pylist() == [2]
            (zone,) = workers[1].con.sql("SELECT current_setting('TimeZone')").fetchall()
            assert zone == ("UTC",)
        assert read_numbers(connection) == [(1,)]


def test_one_part_is_worked_at_by_the_connection_itself() -> None:
    with duckdb_engine.connect() as connection, duckdb_engine.open_workers(connection, 1) as workers:
        assert workers == [connection]


def test_lanes_share_the_threads_and_give_them_back() -> None:
    with duckdb_engine.connect() as connection:

        def threads() -> int:
            return int(connection.con.execute("SELECT current_setting('threads')").fetchall()[0][0])

        connection.raw_sql("SET threads = 7")
        with duckdb_engine.open_workers(connection, 3) as workers:
            assert threads() * len(workers) <= 7
        assert threads() == 7
