"""Programs and action ids convert both ways, and the tokenizer knows nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.refiner.actions import STOP, Actions
from models.refiner.grpo import build_tokenizer
from models.refiner.interface import STYLES
from models.schema import EditProgram

KEYS = [f"key{i}" for i in range(12)]
ACTIONS = Actions(slots=12)


@given(picks=st.lists(st.sampled_from(KEYS), unique=True), style=st.sampled_from(STYLES), slots=st.permutations(KEYS))
def test_a_program_survives_the_way_to_ids_and_back(picks, style, slots) -> None:
    program = EditProgram(tuple(picks), style)
    assert ACTIONS.program(ACTIONS.ids(program, slots), slots) == program


def test_nothing_after_stop_counts() -> None:
    ids = ACTIONS.ids(EditProgram(("key1",), "brief"), KEYS)
    assert ids[-1] == STOP
    assert ACTIONS.program([*ids, ids[1], ids[0]], KEYS) == EditProgram(("key1",), "brief")


@given(rows=st.lists(st.integers(0, 99), min_size=1))
def test_row_names_become_the_ids_above_all_actions(rows) -> None:
    tokenizer = build_tokenizer(ACTIONS, rows=100)
    ids = tokenizer(" ".join(f"R{r}" for r in rows)).input_ids
    assert ids == [ACTIONS.size + r for r in rows]
