"""Match a code in an expression to sets of codes or concepts."""

from __future__ import annotations

from functools import reduce
from operator import or_

from ibis.expr.types import BooleanValue, StringValue

from models.code_sets import CodeSet
from models.vocabulary import CONCEPTS


def matches_codes(code: StringValue, codes: CodeSet) -> BooleanValue:
    """Whether ``code`` (``SYSTEM//value``) belongs to the set."""
    by_length: dict[int, list[str]] = {}
    for prefix in sorted(codes.prefixes):
        by_length.setdefault(len(prefix), []).append(prefix)
    begins = (code.left(length).isin(prefixes) for length, prefixes in sorted(by_length.items()))
    return reduce(or_, begins, code.isin(sorted(codes.exact)))


def matches_concept(code: StringValue, *names: str) -> BooleanValue:
    """Whether ``code`` belongs to one of the named concepts."""
    return matches_codes(code, reduce(or_, (c.codes for c in CONCEPTS if c.name in names)))
