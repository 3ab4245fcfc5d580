"""A peer's medicines and conditions are current by the clinic's own rule, and not while they are disputed."""

from __future__ import annotations

from typing import Any

import pytest

from models.fact_disputes import MARK
from models.patient.currency import DEFAULT_RULE, CurrencyRule
from models.peers.patient_embedding import DAY, FEATURES, build_states

AT = 1_780_000_000


def takes_iron(name: str, days: int, rule: CurrencyRule) -> bool:
    columns: dict[str, Any] = {feature: [None] for feature in FEATURES}
    columns |= {"medicine_texts": [[name]], "medicine_times": [[AT - days * DAY]], "medicine_ends": [[None]]}
    return bool(build_states([1], [AT], columns, rule).outcomes["iron"][0])


@pytest.mark.parametrize(
    ("days", "rule", "current"),
    [(200, DEFAULT_RULE, True), (200, CurrencyRule(medicine_days=90), False), (400, DEFAULT_RULE, False),
     (400, CurrencyRule(medicine_days=730), True)],
)  # fmt: skip
def test_an_order_is_current_for_as_long_as_the_clinic_says(days: int, rule: CurrencyRule, current: bool) -> None:
    assert takes_iron("ferrous sulfate 325 MG", days, rule) is current


def test_a_disputed_medicine_is_not_taken() -> None:
    assert not takes_iron(f"ferrous sulfate 325 MG{MARK}", 10, DEFAULT_RULE)
