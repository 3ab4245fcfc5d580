"""Any UCUM unit of the right kind leads to the signal's own; no other does."""

from __future__ import annotations

import pytest

from models.vocabulary import SIGNALS
from pipelines.records.read.ucum import convert_value

SIGNAL = {s.name: s for s in SIGNALS}


@pytest.mark.parametrize(
    ("signal", "value", "unit", "expected"),
    [
        ("glucose", 5.0, "mmol/L", 90.078),  # listed
        ("glucose", 5.0, "mmol/l", 90.078),
        ("glucose", 5000.0, "umol/L", 90.078),
        ("glucose", 5.0, "mol/m3", 90.078),
        ("glucose", 900.0, "ug/mL", 90.0),
        ("haemoglobin", 7.0, "mmol/l", 11.2798),
        ("haemoglobin", 112.0, "mg/mL", 11.2),
        ("haemoglobin", 11.2, "g/dl", 11.2),
        ("weight", 81_000_000.0, "mg", 81.0),
        ("weight", 11.0, "[stone_av]", 69.85322),
        ("weight", 96.0, "[oz_av]", 2.721554),
        ("systolic", 16.0, "kPa", 120.00992),
        ("systolic", 0.16, "bar", 120.00986),
        ("systolic", 160.0, "mbar", 120.00986),
        ("temperature", 310.15, "K", 37.0),
        ("heart_rate", 1.3, "/s", 78.0),
        ("hba1c", 53.0, "mmol/mol", 7.0),  # 53 mmol/mol is 7.0 %, as the NGSP's table has it
        ("hba1c", 48.0, "mmol/mol", 6.543),
    ],
)
def test_a_value_is_read_by_what_its_unit_means(signal: str, value: float, unit: str, expected: float) -> None:
    assert convert_value(SIGNAL[signal], value, unit) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("signal", "unit"),
    [
        ("glucose", "mg"),
        ("glucose", "furlong"),
        ("glucose", "mg/dL/dL"),
        ("weight", "stone"),
        ("weight", "m"),
        ("weight", "mol/L"),
        ("temperature", "C"),
        ("temperature", "F"),
        ("systolic", "m[Hg]2"),
        ("bmi", "kg"),
        ("heart_rate", "1"),
        ("hba1c", "1"),
        ("hba1c", "g/g"),
        ("phq9", "%"),
        ("pain", "10*-2"),
        ("weight", "10*999999999.g"),
        ("weight", "kg999999999"),
        ("weight", "10*999.g"),
        ("weight", "(((((((((((((((((((((((((((((kg"),
        ("weight", "{kg"),
        ("weight", ""),
    ],
)
def test_a_unit_of_another_kind_or_of_none_leads_nowhere(signal: str, unit: str) -> None:
    found = convert_value(SIGNAL[signal], 80.0, unit)
    assert found is None or found > SIGNAL[signal].high  # beyond what is possible: quarantined all the same


def test_every_listed_unit_gives_what_it_gave_before() -> None:
    for signal in SIGNALS:
        for unit in signal.units:
            assert convert_value(signal, 7.25, unit) == signal.to_canonical(7.25, unit)


@pytest.mark.parametrize("signal", [s for s in SIGNALS if s.unit not in ("%", "{score}")], ids=lambda s: s.name)
def test_the_listed_factors_are_those_of_ucum(signal: object) -> None:
    from pipelines.records.read.ucum import _find_conversion

    assert isinstance(signal, type(SIGNALS[0]))
    for unit in signal.units:
        found = _find_conversion(signal.unit, signal.molar_mass, unit)
        if found is not None:  # not every listed spelling is UCUM
            assert 80 * found[0] + found[1] == pytest.approx(signal.to_canonical(80, unit), rel=1e-4)
