"""Convert a value from any UCUM unit to its signal's own.

The units that ``models.vocabulary`` lists come first: they are usual, exact, and some are no UCUM ("lbs"). Any other is
read by ``ucumvert`` with Pint's units; between moles and grams by the signal's molar mass. A unit of another kind, or
one that cannot be read, converts to nothing, and the value goes into quarantine. Shares and scores have no kind that
tells one from another, so that only listed units are read for them.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

from models.vocabulary import Signal

#: A longer number in a unit is none that a laboratory writes, and could take forever as an exponent.
_LONG_NUMBER = re.compile(r"\d{4,}")
_WITHOUT_KIND = frozenset({"%", "{score}"})


def convert_value(signal: Signal, value: float, unit: str) -> float | None:
    """The value in the signal's own unit; None for a unit that does not lead there."""
    listed = signal.to_canonical(value, unit)
    if listed is not None or signal.unit in _WITHOUT_KIND:
        return listed
    found = _find_conversion(signal.unit, signal.molar_mass, unit)
    return None if found is None else value * found[0] + found[1]


@lru_cache(maxsize=1 << 12)
def _find_conversion(into: str, molar_mass: float | None, unit: str) -> tuple[float, float] | None:
    """Factor and offset from a unit to another, or None where there are none."""
    if _LONG_NUMBER.search(unit):
        return None
    from lark.exceptions import LarkError
    from pint import PintError

    registry = _open_registry()
    try:
        source, target = registry.from_ucum(unit), registry.from_ucum(into)
        if molar_mass is not None and source.dimensionality == registry.from_ucum("mol/L").dimensionality:
            source = source * molar_mass * registry.from_ucum("g/mol")
        quantity = type(source)
        zero = quantity(0.0, source.units).to(target.units).magnitude
        one = quantity(float(source.magnitude), source.units).to(target.units).magnitude
        scale = float(target.magnitude)
        return _round((one - zero) / scale), _round(zero / scale)
    except (LarkError, PintError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None


@cache
def _open_registry() -> Any:
    """Pint's registry with UCUM's units; seconds to load, so only for a unit that is not listed."""
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


def _round(number: float) -> float:
    return float(f"{number:.12g}")
