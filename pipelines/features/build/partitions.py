"""Partition the clinic's patients into ranges of ``subject_id`` with about equal work.

A patient's features depend on the versions of their records alone, so a partition is a small log of its own: its
patients' events, and every version of a record that was filed under patients of several partitions. The rows are those
of one build over all, in the memory of one partition. The log's batches are sorted by patient, so each partition reads
a stretch of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
from ibis.expr.types import Table

from feature_repo.point_in_time import DAY, to_seconds

#: A day's rows, one per group, take as much memory as so many events.
WORK_PER_DAY = 12


@dataclass(frozen=True, slots=True)
class Partition:
    """The patients from ``first`` to ``last``, both included."""

    first: int
    last: int

    def select(self, table: Table) -> Table:
        """Select the rows of these patients."""
        return table.filter(table.subject_id.between(self.first, self.last))


ALL_PATIENTS = Partition(-(2**63), 2**63 - 1)


def split_patients(log: Table, size: int) -> list[Partition]:
    """Split all patients, in order, into partitions of about ``size`` work.

    A patient's work grows with their events and with the days on which some became known, each of which makes rows.
    """
    days = log.group_by("subject_id", day=to_seconds(log.known_at) // DAY).aggregate(events=log.count())
    per_patient = days.group_by("subject_id").aggregate(work=days.events.sum() + WORK_PER_DAY * days.count())
    work = per_patient.to_polars().sort("subject_id")
    total = work["work"].sum()
    before = pl.col("work").cum_sum() - pl.col("work")
    number = before * max(1, round(total / size)) // max(1, total)
    bounds = work.group_by(number).agg(first=pl.col("subject_id").min(), last=pl.col("subject_id").max())
    ranges = bounds.select("first", "last").sort("first").rows()
    return [Partition(first, last) for first, last in ranges] or [ALL_PATIENTS]


def find_patient_ranges(log: Table, repeated: Table) -> Table:
    """Find the ``least`` and ``greatest`` patient of each of the ``repeated`` records."""
    versions = log.semi_join(repeated, "record")
    return versions.group_by("record").aggregate(least=versions.subject_id.min(), greatest=versions.subject_id.max())


def select_records_in(ranges: Table, partition: Partition) -> Table:
    """Select the repeated records (``ranges``) that may belong to a partition's patients."""
    return ranges.filter(ranges.least <= partition.last, ranges.greatest >= partition.first).select("record")


def select_refiled_events(log: Table, ranges: Table) -> Table:
    """Select every event of the records that were filed under several patients."""
    return log.semi_join(ranges.filter(ranges.least != ranges.greatest), "record")


def select_partition_events(log: Table, refiled: Table | None, partition: Partition) -> Table:
    """Select the events of a partition's patients, and all versions of their ``refiled`` records."""
    if refiled is None:
        return partition.select(log)
    records = partition.select(refiled).select("record").distinct()
    elsewhere = ~refiled.subject_id.between(partition.first, partition.last)
    others = refiled.filter(elsewhere).semi_join(records, "record")
    return partition.select(log).union(others.select(*log.columns))
