"""Writes the table of injected faults in docs/faults.md from what `make test-faults` saw.

Tests carry ``@pytest.mark.fault(kind, injected, checked)``. A run over all tests by that mark writes the table, with
what failed and what did not run; any other run leaves it as it is.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from pmlm.settings import PROJECT
from pmlm.storage import write_bytes
from tests.attack_table import find_marks
from tests.page_table import PageTable

PAGE = PROJECT / "docs" / "faults.md"
TABLE = PageTable(
    "<!-- faults: written by make test-faults -->\n",
    "<!-- end of faults -->\n",
    "| kind | injected | checked | result |\n| --- | --- | --- | --- |",
)
KINDS = ("kill and write error", "disk", "clock", "torn line", "two at once", "store", "model", "language model")


class Fault(NamedTuple):
    """One row: the kind of fault, what is injected, what is checked after it."""

    kind: str
    injected: str
    checked: str


Results = dict[Fault, Counter[str]]


class FaultRecorder:
    """A pytest plugin: counts the results of each fault's cases, and writes the table at the end."""

    def __init__(self, config: pytest.Config) -> None:
        chosen = config.option.markexpr.split(" ")[0] == "fault" and config.args == config.getini("testpaths")
        self.writes = chosen and not hasattr(config, "workerinput")
        self.results: Results = defaultdict(Counter)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            item.user_properties += [("fault", list(mark.args)) for mark in item.iter_markers("fault")]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for fault in [Fault(*value) for name, value in report.user_properties if name == "fault"]:
            if report.skipped:
                reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
                self.results[fault][f"not run: {reason.removeprefix('Skipped: ')}"] += 1
            elif report.failed:
                self.results[fault]["**failed**"] += 1
            elif report.when == "call":
                self.results[fault]["passed"] += 1

    def pytest_sessionfinish(self) -> None:
        if self.writes and self.results:
            table = render_table({fault: self.results[fault] for fault in read_faults()})
            write_bytes(PAGE, TABLE.place(PAGE.read_text(), table).encode())


def read_faults() -> list[Fault]:
    """The faults of every mark below ``tests/``, in the order of the table."""
    found = {
        Fault(*map(ast.literal_eval, call.args))
        for path in (PROJECT / "tests").rglob("test_*.py")
        for call in find_marks(ast.parse(path.read_text()), "fault")
    }
    return sorted(found, key=order_fault)


def order_fault(fault: Fault) -> tuple[int, Fault]:
    """By kind, then by name."""
    return KINDS.index(fault.kind), fault


def render_table(results: Mapping[Fault, Counter[str]]) -> str:
    """The rows, with the number of cases of each result; "not run" where there is none."""
    return TABLE.render([*fault, _sum_up(results[fault])] for fault in sorted(results, key=order_fault))


def _sum_up(results: Counter[str]) -> str:
    return "; ".join(f"{n} {result}" for result, n in sorted(results.items())) or "not run"


def read_rows(page: str) -> list[Fault]:
    """The faults that the page lists."""
    return [Fault(*row[:3]) for row in TABLE.read_rows(page)]
