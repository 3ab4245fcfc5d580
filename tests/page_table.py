"""A table in a page of docs/, between two marks, that a test run writes and a test reads back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class PageTable(NamedTuple):
    """The marks around a table, and its two lines of header."""

    begin: str
    end: str
    header: str

    def render(self, rows: Iterable[Sequence[str]]) -> str:
        """The table's lines."""
        escaped = ([cell.replace("|", "\\|") for cell in row] for row in rows)
        lines = (f"| {' | '.join(row)} |" for row in escaped)
        return "\n".join([self.header, *lines]) + "\n"

    def place(self, page: str, table: str) -> str:
        """The page with the table between its two marks."""
        before, rest = page.split(self.begin)
        return f"{before}{self.begin}{table}{self.end}{rest.split(self.end)[1]}"

    def read_rows(self, page: str) -> list[list[str]]:
        """The cells of the table that the page has."""
        rows = page.split(self.begin)[1].split(self.end)[0].splitlines()[2:]
        return [[cell.strip().replace("\\|", "|") for cell in row.strip("| ").split(" | ")] for row in rows]
