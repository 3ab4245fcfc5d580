"""Decide by its code whether a condition is acute, as HCUP's indicator does.

``acute_conditions.csv`` has prefixes of ICD-10-CM for infections, symptoms and injuries that HCUP's Chronic Condition
Indicator (AHRQ, public domain) calls not chronic, prefixes below them that last all the same, and some SNOMED CT codes.
The longest prefix of a code counts. The prefixes were chosen by the beta version 2019.1 and narrowed to the refined
indicator (CCIR) v2023.1: a code is acute where both give it value 0 and its title does not say chronic ("Chronic
meningococcemia" has 0). Value 9, "no determination", is not 0.

Refresh, after each October's release of CCIR:

    python -m models.patient.acute_conditions CCIR_v2026-1.csv > narrowed.csv
    mv narrowed.csv models/patient/acute_conditions.csv

HCUP's file is on https://hcup-us.ahrq.gov/toolssoftware/chronic_icd10/chronic_icd10.jsp. A refresh only narrows: what
is newly called acute is a clinical decision, and a new row.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("acute_conditions.csv")
_COLUMNS = ("system", "code", "course", "example")
_ACUTE, _LASTING = "acute", "lasting"
_CATEGORY = 3  # characters of an ICD-10-CM category, before the dot

Indicator = Mapping[str, tuple[str, str]]
"""ICD-10-CM code with its dot → (value, title)."""
Row = Mapping[str, str]


def is_acute_code(system: str, code: str) -> bool:
    """Whether a code is of a condition that ends by itself; in ICD-10, by its longest listed prefix."""
    courses = _read_courses()
    if system != "ICD10":
        return courses.get((system, code)) == _ACUTE
    prefixes = ((system, code[:length]) for length in range(len(code), _CATEGORY - 1, -1))
    return next((courses[prefix] for prefix in prefixes if prefix in courses), _LASTING) == _ACUTE


def read_rows() -> list[dict[str, str]]:
    """Read the rows of ``acute_conditions.csv``."""
    with _FILE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def _read_courses() -> dict[tuple[str, str], str]:
    return {(row["system"], row["code"]): row["course"] for row in read_rows()}


def read_indicator(lines: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Read HCUP's file: lines of words, then quoted codes without a dot, title and value."""
    rows = (row for row in csv.reader(lines) if len(row) >= 3)
    quoted = ((row[0].strip().strip("'"), row[2].strip().strip("'"), row[1].strip()) for row in rows)
    found = {_add_dot(code): (value, title) for code, value, title in quoted if value in ("0", "1", "9")}
    if not found:
        raise ValueError("no codes with a value: not HCUP's Chronic Condition Indicator Refined")
    return found


def narrow_rows(rows: Iterable[Row], indicator: Indicator) -> list[Row]:
    """Narrow the rows of ICD-10-CM to an indicator; other rows stay."""
    rows = list(rows)
    lasting = {row["code"]: row["example"] for row in rows if row["course"] == _LASTING}
    narrowed: list[Row] = []
    for row in rows:
        if row["system"] != "ICD10":
            narrowed.append(row)
        elif row["course"] == _ACUTE:
            category = {code: found for code, found in indicator.items() if code.startswith(row["code"])}
            category |= {code: ("1", title) for code, (_, title) in category.items() if code.startswith((*lasting,))}
            narrowed.extend(_narrow_prefix(row["code"], category))
    return narrowed


def _narrow_prefix(prefix: str, indicator: Indicator) -> Iterator[Row]:
    """Yield an acute prefix, if any code below it is acute, and the shortest prefixes below it that last."""
    acute = [title for value, title in indicator.values() if _is_acute(value, title)]
    if acute:
        yield _make_row(prefix, _ACUTE, acute[0])
        yield from _list_lasting(prefix, indicator)


def _list_lasting(prefix: str, indicator: Indicator) -> Iterator[Row]:
    below = {code: found for code, found in sorted(indicator.items()) if code.startswith(prefix)}
    acute = {_is_acute(*found) for found in below.values()}
    if acute == {False}:
        yield _make_row(prefix, _LASTING, next(iter(below.values()))[1])
    elif False in acute:
        dot = "." if len(prefix) == _CATEGORY else ""
        length = len(prefix) + len(dot) + 1
        for longer in dict.fromkeys(code[:length] for code in below if len(code) >= length):
            yield from _list_lasting(longer, below)


def _is_acute(value: str, title: str) -> bool:
    return value == "0" and "chronic" not in title.lower().replace("acute or chronic", "")


def _make_row(prefix: str, course: str, title: str) -> Row:
    return dict(zip(_COLUMNS, ("ICD10", prefix, course, title), strict=True))


def _add_dot(code: str) -> str:
    return f"{code[:_CATEGORY]}.{code[_CATEGORY:]}" if len(code) > _CATEGORY else code


def _show_narrowed(indicator_file: Path) -> None:
    """Write the rows, narrowed to HCUP's file, to the standard output."""
    with indicator_file.open(encoding="utf-8-sig", newline="") as lines:
        rows = narrow_rows(read_rows(), read_indicator(lines))
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    _show_narrowed(Path(sys.argv[1]))
