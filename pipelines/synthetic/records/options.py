"""Options of a synthetic clinic; the shipped sample has none of them.

``mechanisms`` are the ways in which similar patients matter to a reply. Each topic names at most one of them
(``mechanism`` of its rule file); a topic without one is a negative control, where other patients must tell nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Mechanism = Literal["quoted_outcomes", "shared_traits", "local_practice"]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)


#: Public on purpose: a synthetic clinic's pseudonyms protect nobody and must be the same on every machine.
HASH_KEY = "pmlm-sample-clinic-public-key"


@dataclass(frozen=True, slots=True)
class ClinicOptions:
    """Options of a synthetic clinic; its manifest records them.

    ``spread_pregnancies``: pregnancies at any time of the portal's 18 months, not at its end alone.
    ``second_writer``: the replies to patients of the test split are written in other words, with typos and omissions.
    """

    mechanisms: frozenset[Mechanism] = frozenset()
    spread_pregnancies: bool = False
    second_writer: bool = False

    def describe(self) -> dict[str, Any]:
        """Describe the options for the manifest; empty where all are off."""
        if self == SAMPLE_OPTIONS:
            return {}
        return {
            "mechanisms": [name for name in MECHANISMS if name in self.mechanisms],
            "spread_pregnancies": self.spread_pregnancies,
            "second_writer": self.second_writer,
        }

    def abbreviate(self) -> str:
        """Name the options by their initials; empty where all are off."""
        initials = [name[0] for name in MECHANISMS if name in self.mechanisms]
        initials += ["p"] if self.spread_pregnancies else []
        return "".join(initials + (["w"] if self.second_writer else []))


#: Of the shipped sample: nothing.
SAMPLE_OPTIONS = ClinicOptions()
