"""docs/faults.md lists every fault that the tests inject, and the recorder writes it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.fault_table import KINDS, PAGE, TABLE, Fault, read_faults, read_rows, render_table


def test_the_page_lists_every_fault_that_the_tests_inject() -> None:
    assert read_rows(PAGE.read_text()) == read_faults(), "run `make test-faults`: it writes the table"


def test_every_fault_is_of_a_known_kind() -> None:
    assert {fault.kind for fault in read_faults()} <= set(KINDS)


@pytest.mark.parametrize("text", ["plain", "a | b"])
def test_a_written_table_is_read_back_with_what_did_not_run(text: str) -> None:
    fault, other = Fault("disk", text, "as it was"), Fault("clock", text, "the same")
    never = Fault("store", text, "found again")
    table = render_table(
        {fault: Counter(passed=3), other: Counter({"not run: faketime is not installed": 2}), never: Counter()}
    )
    page = TABLE.place(PAGE.read_text(), table)
    assert read_rows(page) == [fault, other, never]
    assert "| 3 passed |" in page
    assert "| 2 not run: faketime is not installed |" in page
    assert "| not run |" in page
