"""The clinic's patients in parts: ranges of ``subject_id`` with about as much work each, built one after another.

What a patient's features depend on are the versions of her records, so a part is a small log of its own: its patients'
events and every version of a record that was filed under patients of several parts. The rows are those of one build
over all; memory is that of a part. The event log's batches are sorted by patient, so each part reads its own stretch.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from ibis.expr.types import Table

from feature_repo.point_in_time import DAY, seconds

#: A day's rows, one a group, take as much memory as so many events.
WORK_OF_A_DAY = 12


@dataclass(frozen=True, slots=True)
class Part:
    """The patients from ``first`` to ``last``, both included."""

    first: int
    last: int

    def of(self, table: Table) -> Table:
        """The rows of these patients."""
        return table.filter(table.subject_id.between(self.first, self.last))


EVERYBODY = Part(-(2**63), 2**63 - 1)


def cut(log: Table, size: int) -> list[Part]:
    """Parts that between them hold everybody, in order and alike: about ``size`` of work, or one patient with more.

    A patient's work follows from her events and from the days on which some were known, of which her rows are made.
    """
    days = log.group_by("subject_id", day=seconds(log.known_at) // DAY).aggregate(events=log.count())
    hers = days.group_by("subject_id").aggregate(work=days.events.sum() + WORK_OF_A_DAY * days.count())
    work = hers.to_polars().sort("subject_id")
    total = work["work"].sum()
    before = pl.col("work").cum_sum() - pl.col("work")
    part = before * max(1, round(total / size)) // max(1, total)
    bounds = work.group_by(part).agg(first=pl.col("subject_id").min(), last=pl.col("subject_id").max())
    return [Part(first, last) for first, last in bounds.select("first", "last").sort("first").rows()] or [EVERYBODY]


def retellings(log: Table, again: Table) -> Table:
    """The records told more than once (``again``), each with the ``least`` and the ``greatest`` patient of them."""
    told = log.semi_join(again, "record")
    return told.group_by("record").aggregate(least=told.subject_id.min(), greatest=told.subject_id.max())


def retold_in(retellings: Table, part: Part) -> Table:
    """The records among them that a part may meet: what ``point_in_time.retold`` says of its events."""
    met = retellings.filter(retellings.least <= part.last, retellings.greatest >= part.first)
    return met.select("record")


def refiled(log: Table, retellings: Table) -> Table:
    """Every event of the records that were filed under more than one patient."""
    return log.semi_join(retellings.filter(retellings.least != retellings.greatest), "record")


def concerning(log: Table, refiled: Table | None, part: Part) -> Table:
    """The events of a part's patients, and those of others that tell a record of theirs where any are ``refiled``."""
    if refiled is None:
        return part.of(log)
    theirs = part.of(refiled).select("record").distinct()
    others = refiled.filter(~refiled.subject_id.between(part.first, part.last)).semi_join(theirs, "record")
    return part.of(log).union(others.select(*log.columns))
