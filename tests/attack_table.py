"""Writes the table of attacks and faults in docs/security.md from what the test run saw.

Tests carry ``@pytest.mark.attack(kind, tried, seen)``. A run in which each of them passed writes the table; any
other run leaves it as it is, and `tests/unit/test_security_page.py` compares its rows with the marks.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import NamedTuple

import pytest

from pmlm.settings import PROJECT
from pmlm.storage import write_bytes
from tests.page_table import PageTable

PAGE = PROJECT / "docs" / "security.md"
TABLE = PageTable(
    "<!-- attacks: written by the test run -->\n",
    "<!-- end of attacks -->\n",
    "| kind | tried | what happens | cases |\n| --- | --- | --- | ---: |",
)
KINDS = ("safety messages", "access", "event loop", "data at rest", "intake")


class Attack(NamedTuple):
    """One row: the kind of attack, what is tried, what happens."""

    kind: str
    tried: str
    seen: str


class AttackRecorder:
    """A pytest plugin: counts the passed cases of each attack and writes the table at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.writes = not hasattr(config, "workerinput")
        self.passed: Counter[Attack] = Counter()
        self.others: set[Attack] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            item.user_properties += [("attack", list(mark.args)) for mark in item.iter_markers("attack")]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for attack in [Attack(*value) for name, value in report.user_properties if name == "attack"]:
            if not report.passed:
                self.others.add(attack)
            elif report.when == "call":
                self.passed[attack] += 1

    def pytest_sessionfinish(self) -> None:
        if self.writes and self.passed and not self.others and set(self.passed) == set(read_attacks()):
            write_bytes(PAGE, TABLE.place(PAGE.read_text(), render_table(self.passed)).encode())


def read_attacks() -> list[Attack]:
    """The attacks of every mark below ``tests/``, those of slow tests excepted."""
    found = {
        Attack(*map(ast.literal_eval, call.args))
        for path in (PROJECT / "tests").rglob("test_*.py")
        for call in _read_marks(ast.parse(path.read_text()))
    }
    return sorted(found, key=lambda attack: (KINDS.index(attack.kind), attack))


def _read_marks(tree: ast.Module) -> list[ast.Call]:
    if any("mark.slow" in ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign)):
        return []
    slow = {
        id(call)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if any("mark.slow" in ast.unparse(decorator) for decorator in node.decorator_list)
        for call in ast.walk(node)
    }
    return [call for call in find_marks(tree, "attack") if id(call) not in slow]


def find_marks(tree: ast.Module, name: str) -> list[ast.Call]:
    """The calls of ``pytest.mark.NAME`` in a module."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if ast.unparse(call.func) == f"pytest.mark.{name}"]


def render_table(passed: Counter[Attack]) -> str:
    """The rows in the order of the kinds, with the number of cases that passed."""
    ordered = sorted(passed, key=lambda attack: (KINDS.index(attack.kind), attack))
    return TABLE.render([*attack, str(passed[attack])] for attack in ordered)


def read_rows(page: str) -> list[Attack]:
    """The attacks that the page lists."""
    return [Attack(*row[:3]) for row in TABLE.read_rows(page)]
