"""Credit of single picks: what a segment adds within its group, nothing where rewards are equal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.refiner import grpo
from models.refiner.actions import FIRST_PICK, FIRST_STYLE, STOP
from models.refiner.credit import build_advantages
from models.refiner.inference import decode_batch

WIDTH = 6
GOOD, IDLE, BAD = FIRST_PICK, FIRST_PICK + 1, FIRST_PICK + 2
picks = st.lists(st.sampled_from([GOOD, IDLE, BAD, FIRST_PICK + 3]), unique=True, max_size=4)
groups = st.lists(picks.map(lambda chosen: [FIRST_STYLE, *chosen, STOP]), min_size=8, max_size=8)


def _reward(program: list[int]) -> float:
    return 1.0 * (GOOD in program) - 1.0 * (BAD in program)


def test_a_pick_is_credited_with_what_it_adds_not_with_its_program() -> None:
    group = [[FIRST_STYLE, *chosen, STOP] for chosen in
             ([GOOD, IDLE], [GOOD, BAD], [IDLE], [BAD, IDLE], [GOOD], [BAD], [IDLE, GOOD], [])]  # fmt: skip
    made = build_advantages(group, [_reward(p) for p in group], 8, WIDTH)
    good, bad = made[1][1], made[1][2]  # one program, one reward
    assert good > 0 > bad
    assert good > made[0][2] > bad


@given(groups, st.floats(-5, 5))
@settings(max_examples=40, deadline=None)
def test_a_group_of_equal_rewards_teaches_nothing(group: list[list[int]], reward: float) -> None:
    assert not build_advantages(group, [reward] * 8, 8, WIDTH).any()


@given(groups, st.permutations(range(8)))
@settings(max_examples=40, deadline=None)
def test_the_order_of_programs_in_a_group_changes_no_credit(group: list[list[int]], order: list[int]) -> None:
    made = build_advantages(group, [_reward(p) for p in group], 8, WIDTH)
    moved = build_advantages([group[i] for i in order], [_reward(group[i]) for i in order], 8, WIDTH)
    assert moved == pytest.approx(made[order])


@given(groups)
@settings(max_examples=40, deadline=None)
def test_an_unscored_program_has_no_advantage_and_nothing_is_not_finite(group: list[list[int]]) -> None:
    rewards = [float("nan"), *(_reward(p) for p in group[1:])]
    made = build_advantages(group, rewards, 8, WIDTH)
    assert not made[0].any()
    assert np.isfinite(made).all()


def test_frozen_picks_stay_while_the_style_is_learnt(read) -> None:
    policy = read.policy()
    policy.pointer.set_table(read.table)
    rows = [p.rows for p in read.prompts[:20]]
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    picks_before = [ids[1:] for ids in decode_batch(policy.eval(), rows)[0]]

    def likes_brief(ids, programs):
        return [float(p.style == "brief") for p in programs]

    options = grpo.GrpoOptions(steps=40, learning_rate=0.02, styles_only=True)
    grpo.train_grpo(policy, len(read.table), read.prompts[:20], likes_brief, options)
    changed = {name for name, value in policy.state_dict().items() if not value.equal(before[name])}
    assert changed
    assert all(".style." in name for name in changed)
    decoded = decode_batch(policy.eval(), rows)[0]
    assert [ids[1:] for ids in decoded] == picks_before
    assert {ids[0] for ids in decoded} == {FIRST_STYLE + 1}
    assert all(p.requires_grad for p in policy.pointer.parameters())
