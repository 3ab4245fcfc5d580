"""docs/security.md lists every attack that the tests try, and the recorder writes it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.attack_table import KINDS, PAGE, TABLE, Attack, read_attacks, read_rows, render_table


def test_the_page_lists_every_attack_that_the_tests_try() -> None:
    assert read_rows(PAGE.read_text()) == read_attacks(), "run `make test`: a whole run writes the table"


def test_every_attack_is_of_a_known_kind() -> None:
    assert {attack.kind for attack in read_attacks()} <= set(KINDS)


@pytest.mark.parametrize("text", ["plain", "a | b"])
def test_a_written_table_is_read_back(text: str) -> None:
    attack = Attack("access", text, "refused with 403")
    page = TABLE.place(PAGE.read_text(), render_table(Counter({attack: 3})))
    assert read_rows(page) == [attack]
    assert "| 3 |" in page
