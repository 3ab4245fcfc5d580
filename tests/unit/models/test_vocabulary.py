"""Units: every accepted one leads to the signal's own, and no other does."""

from __future__ import annotations

import pytest

from models.vocabulary import SIGNALS

SIGNAL = {s.name: s for s in SIGNALS}


@pytest.mark.parametrize(
    ("signal", "value", "unit", "expected"),
    [
        ("temperature", 98.6, "[degF]", 37.0),
        ("temperature", 37.0, "Cel", 37.0),
        ("haemoglobin", 101.0, "g/L", 10.1),
        ("glucose", 5.0, "mmol/L", 90.078),
        ("weight", 150.0, "[lb_av]", 68.0388555),
    ],
)
def test_a_value_is_read_in_the_signals_own_unit(signal: str, value: float, unit: str, expected: float) -> None:
    assert SIGNAL[signal].to_canonical(value, unit) == pytest.approx(expected)


def test_a_unit_never_seen_is_not_guessed() -> None:
    assert all(signal.to_canonical(1.0, "furlong") is None for signal in SIGNALS)


def test_the_canonical_unit_changes_nothing_and_every_offset_belongs_to_a_unit() -> None:
    for signal in SIGNALS:
        assert signal.to_canonical(7.25, signal.unit) == 7.25
        assert set(signal.offsets) <= set(signal.units)
