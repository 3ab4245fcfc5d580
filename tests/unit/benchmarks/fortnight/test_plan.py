"""Whatever the seed, every plant has its night, and none hides another."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fortnight import plan as planning
from benchmarks.fortnight.plan import NIGHTS, draw_plan
from benchmarks.fortnight.recipe import BAD, SHORT, WHOLE, choose_recipe
from pipelines.params import merge_params

seeds = st.integers(0, 2**31)


@given(seeds)
def test_every_plan_has_every_plant_in_a_night_that_can_show_it(seed: int) -> None:
    plan = draw_plan(seed)
    assert draw_plan(seed) == plan
    assert 1 < plan.better < plan.bad < NIGHTS
    assert plan.bad - plan.better >= 2
    assert plan.poisoned not in (1, plan.better, plan.bad, plan.bad + 1)
    assert 1 < plan.late.of[0] < plan.late.of[1] < plan.late.night <= NIGHTS
    assert 1 < plan.erasure < NIGHTS
    first, second = plan.kills
    assert 1 < first.night < second.night <= NIGHTS
    assert first.stage != second.stage
    assert {first.stage, second.stage} <= set(planning.KILLED_STAGES)


@given(seeds)
def test_three_drifts_of_different_kinds_with_a_quiet_night_between_shifts(seed: int) -> None:
    drifts = draw_plan(seed).drifts
    assert len({one.kind for one in drifts}) == len(drifts) == 3
    shifts = [one for one in drifts if one.kind != "trend"]
    assert len(shifts) >= 2
    for one in shifts:
        assert one.first >= 4  # nights before it to compare with
        assert one.last - one.first + 1 == planning.SHIFT_NIGHTS
        assert one.last <= NIGHTS
    assert all(later.first > earlier.last + 1 for earlier, later in pairwise(shifts))


@given(seeds)
def test_recipes_are_parameters_of_the_product_and_change_in_the_planted_nights(seed: int) -> None:
    plan = draw_plan(seed)
    recipes = {night: choose_recipe(plan, night) for night in range(1, NIGHTS + 1)}
    assert [n for n, one in recipes.items() if one is SHORT] == list(range(1, plan.better))
    assert [n for n, one in recipes.items() if one is BAD[plan.bad_kind]] == [plan.bad]
    assert recipes[NIGHTS] is WHOLE
    merge_params({"train": recipes[plan.bad]})


def test_seeds_differ_in_what_they_plant_and_when() -> None:
    plans = [draw_plan(seed) for seed in range(60)]
    assert {one.kind for plan in plans for one in plan.drifts} == set(planning.SHOWN)
    assert {plan.bad_kind for plan in plans} == set(BAD)
    for nights in ("better", "bad", "poisoned", "erasure"):
        assert len({getattr(plan, nights) for plan in plans}) >= 3
    assert {kill.stage for plan in plans for kill in plan.kills} == set(planning.KILLED_STAGES)
