"""The words and figures that a night ends with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipelines.runs import StageSummary
from pmlm.console import screen
from pmlm.console.progress import format_stage


def row(name: str, split: str = "test", **figures: float) -> dict[str, Any]:
    given_figures = {"value": 0.0123, "ci_low": -0.01, "ci_high": 0.034, "n": 81, "patients": 17} | figures
    return {"name": name, "split": split, **given_figures}


def accounts(accepted: int, ignored: int, quarantined: int, read: int) -> dict[str, Any]:
    return {"read": read, "accepted": accepted, "ignored": ignored, "quarantined": quarantined, "by_rule": {}}


@given(*[st.integers(0, 10**7)] * 3)
def test_accounts_that_balance_are_shown_as_an_equation(accepted: int, ignored: int, quarantined: int) -> None:
    shown = screen.format_accounts(accounts(accepted, ignored, quarantined, accepted + ignored + quarantined))
    assert " = " in shown
    assert f"{quarantined:,} quarantined" in shown


def test_accounts_that_do_not_balance_are_not_called_equal() -> None:
    assert "≠" in screen.format_accounts(accounts(1, 1, 1, read=4))


def test_the_reward_is_shown_with_its_interval_and_n_from_the_locked_split() -> None:
    gate_split = row("reward_refined_vs_initial", split="gate", n=1)
    shown = screen.format_rewards({"rows": [gate_split, row("reward_refined_vs_initial")]}, None)
    assert len(shown) == 1
    assert "+0.012 [-0.010, +0.034] nats" in shown[0]
    assert "n = 81 questions of 17 patients" in shown[0]


@pytest.mark.parametrize(
    ("decision", "word"),
    [("promote", "PROMOTED"), ("hold", "HOLD"), ("reject", "REJECTED"), ("waiting", "WAITING")],
)
def test_the_gates_decision_is_said_with_its_reason(decision: str, word: str) -> None:
    (shown,) = screen.format_rewards(None, {"decision": decision, "why": "a reason"})
    assert word in shown
    assert "a reason" in shown


def test_a_night_without_an_evaluation_shows_no_figures() -> None:
    assert screen.format_rewards({"status": "hold", "rows": []}, None) == []


def test_a_finished_stage_is_one_line_of_a_narrow_terminal() -> None:
    summary = StageSummary("materialise", "20260601", 1_234_567, 1_234_567, quarantined=99_999, seconds=123.4)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(format_stage(summary))
    shown = captured.get()
    assert len(shown.strip()) <= 80
    assert "2026-06-01" in shown
    assert "99,999 quarantined" in shown


def test_the_next_steps_name_a_patient_who_can_be_asked_about() -> None:
    shown = screen.format_next_steps("subject:17")
    assert 'pmlm ask subject:17 "' in shown
    assert ". .venv/bin/activate" in shown
