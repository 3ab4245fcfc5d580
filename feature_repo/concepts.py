"""Match a code in an expression to given codes, or to concepts of the vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_

from ibis.expr.types import BooleanValue, StringValue

from models.vocabulary import CONCEPTS


def matches_code(code: StringValue, snomed: Iterable[str], icd10: Iterable[str] = ()) -> BooleanValue:
    """Whether ``code`` (``SYSTEM//value``) is a SNOMED code or has an ICD-10 prefix given."""
    exact = code.isin([f"SNOMED//{value}" for value in snomed])
    return reduce(or_, (code.startswith(f"ICD10//{prefix}") for prefix in icd10), exact)


def matches_concept(code: StringValue, *names: str) -> BooleanValue:
    """Whether ``code`` belongs to one of the named concepts."""
    return reduce(or_, (matches_code(code, c.snomed, c.icd10) for c in CONCEPTS if c.name in names))
