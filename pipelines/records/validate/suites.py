"""One Great Expectations suite per table of extracted rows: what their values must be.

A row that fails an expectation is quarantined by the rule and reason in its ``meta`` (``rule``, ``says``: stored with
the suites). The tables have allowlisted columns only: no expectation ever sees a name or identifier.
"""

from __future__ import annotations

from copy import copy
from datetime import datetime

import great_expectations as gx
from great_expectations import expectations as gxe
from great_expectations.expectations.expectation import Expectation

from pipelines.records.read.coding import MAX_MESSAGE, MAX_TEXT

IMPOSSIBLE, REVERSED, DATE, CODE, MISSING = (
    "impossible_value", "reversed_dates", "impossible_date", "bad_code", "missing_field",
)  # fmt: skip
_Bound = float | datetime | None

_EARLIEST = datetime(1880, 1, 1)
_CODE = r"^[A-Z0-9]+//[A-Za-z0-9.\-_:+/^]{1,128}$"
_LARGEST = 1e12


def _expect_between(column: str, low: _Bound, high: _Bound, rule: str, reason: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column, min_value=low, max_value=high, meta={"rule": rule, "says": reason}
    )


def _expect_present(column: str, reason: str) -> Expectation:
    return gxe.ExpectColumnValuesToNotBeNull(column=column, meta={"rule": MISSING, "says": reason})


def _expect_not_less(greater: str, smaller: str, rule: str, reason: str) -> Expectation:
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=greater,
        column_B=smaller,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        meta={"rule": rule, "says": reason},
    )


def _expect_code() -> list[Expectation]:
    return [
        _expect_present("code", "the code is missing"),
        gxe.ExpectColumnValuesToMatchRegex(
            column="code", regex=_CODE, meta={"rule": CODE, "says": "the code has not the shape SYSTEM//code"}
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(
            column="text", max_value=MAX_TEXT, meta={"rule": "long_text", "says": "the display is too long"}
        ),
    ]


def _expect_date() -> Expectation:
    return _expect_between("start", _EARLIEST, None, DATE, "the date lies before 1880")


def _expect_order() -> Expectation:
    return _expect_not_less("end", "start", REVERSED, "the end lies before the start")


_EXPECTATIONS: dict[str, list[Expectation]] = {
    "patients": [_expect_date(), _expect_order()],
    "encounters": [*_expect_code(), _expect_date(), _expect_order()],
    "conditions": [*_expect_code(), _expect_date(), _expect_order()],
    "observations": [
        *_expect_code(),
        _expect_date(),
        _expect_between("value", -_LARGEST, _LARGEST, IMPOSSIBLE, "the number is too large to be a measurement"),
        _expect_not_less("value", "low", IMPOSSIBLE, "the value is lower than is possible"),
        _expect_not_less("high", "value", IMPOSSIBLE, "the value is higher than is possible"),
    ],
    "blood_pressures": [
        _expect_not_less("systolic", "diastolic", IMPOSSIBLE, "the systolic pressure is lower than the diastolic")
    ],
    "medicines": [*_expect_code(), _expect_date()],
    "procedures": [*_expect_code(), _expect_date(), _expect_order()],
    "allergies": [*_expect_code(), _expect_date()],
    "messages": [
        _expect_present("start", "the message has no time"),
        _expect_date(),
        _expect_between("length", 1, MAX_MESSAGE, "long_text", "the message is too long"),
    ],
    "ratings": [
        _expect_present("start", "the rating has no time"),
        _expect_between("rating", 1, 5, IMPOSSIBLE, "a rating is 1 to 5"),
    ],
}

#: Columns of the tables, by type of value.
NUMBERS = ("value", "low", "high", "systolic", "diastolic", "length", "rating")
TIMES = ("start", "end")


def build_suite(table: str) -> gx.ExpectationSuite:
    """The suite of one table."""
    # copies: a stored expectation belongs to its suite, and a process imports more than one drop
    return gx.ExpectationSuite(name=table, expectations=[copy(expectation) for expectation in _EXPECTATIONS[table]])


TABLES = tuple(_EXPECTATIONS)
