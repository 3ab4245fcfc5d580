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

PAGE = PROJECT / "docs" / "security.md"
BEGIN, END = "<!-- attacks: written by the test run -->\n", "<!-- end of attacks -->\n"
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
            write_bytes(PAGE, place_table(PAGE.read_text(), render_table(self.passed)).encode())


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
    lines = ["| kind | tried | what happens | cases |", "| --- | --- | --- | ---: |"]
    for attack in sorted(passed, key=lambda attack: (KINDS.index(attack.kind), attack)):
        cells = (cell.replace("|", "\\|") for cell in attack)
        lines.append(f"| {' | '.join(cells)} | {passed[attack]} |")
    return "\n".join(lines) + "\n"


def place_table(page: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}{table}{END}{rest.split(END)[1]}"


def read_rows(page: str) -> list[Attack]:
    """The attacks that the page lists."""
    rows = page.split(BEGIN)[1].split(END)[0].splitlines()[2:]
    cells = [[cell.strip().replace("\\|", "|") for cell in row.strip("| ").split(" | ")] for row in rows]
    return [Attack(*row[:3]) for row in cells]
