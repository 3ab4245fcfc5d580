"""Read the bounds that a feature's ``Field`` states in its tags, for the checks.

| tag | says |
| --- | --- |
| ``low``, ``high`` | no value is outside; for an array, no element |
| ``null`` = ``never`` | every row has a value |

A feature without tags promises nothing, and a new feature states its own: there is no other list of checks.
"""

from __future__ import annotations

from dataclasses import dataclass

from feast import Field

from feature_repo.store.services import list_features


@dataclass(frozen=True, slots=True)
class FeatureBounds:
    """The bounds of one feature; None where it states none."""

    low: float | None
    high: float | None
    never_null: bool


def read_bounds(field: Field) -> FeatureBounds:
    """Read what a feature states; ``ValueError`` where a bound is no number."""
    low, high = (float(field.tags[bound]) if bound in field.tags else None for bound in ("low", "high"))
    return FeatureBounds(low, high, field.tags.get("null") == "never")


def list_bounds() -> dict[str, FeatureBounds]:
    """List the bounds of every feature that states any."""
    found = {name: read_bounds(field) for name, field in list_features().items()}
    return {name: e for name, e in found.items() if e.low is not None or e.high is not None or e.never_null}
