"""Pregnancy: expected delivery, last period, the open pregnancy, the last end, how many.

Dates only: ``models.patient.gestational_age`` computes weeks from these at request time, in training as in serving.
``edd`` and ``lmp`` are values of observations (LOINC 11778-8 and 8665-2), at 00:00 UTC. A pregnancy is
a condition of the concept ``pregnancy``; it *ends* with a delivery, a termination, a loss, or the abatement of its
condition, unless another pregnancy condition of the same pregnancy goes on. Conditions that begin while another
pregnancy condition is open (and no longer than 308 days old) are of the same pregnancy and count once.
"""

from __future__ import annotations

from datetime import timedelta

import ibis
from feast import FeatureView, Field, FileSource
from feast.types import Int64, String, UnixTimestamp
from ibis.expr.types import Table, TimestampValue

from feature_repo.concepts import matches_code, matches_concept
from feature_repo.entities import subject
from feature_repo.point_in_time import DAY, FOREVER, KEY, join_to_moments, select_known, select_latest, to_seconds
from models.patient.gestational_age import LONGEST
from models.vocabulary import EDD_CODE, LMP_CODE

#: Procedures that end a pregnancy (SNOMED): births, termination, surgery and methotrexate for a tubal one.
ENDING_PROCEDURES = (
    "386216000",  # human parturition
    "236974004",  # instrumental delivery
    "177157003",  # spontaneous breech delivery
    "177184002",  # normal delivery
    "11466000",  # caesarean section
    "714812005",  # induced termination
    "57797005",  # induced abortion
    "445912000",  # removal of an ectopic pregnancy
    "236931002",  # methotrexate into a tubal pregnancy
)
#: Losses as diagnoses; a *history* of loss (161744009, Z87.59) is no event of its day and is left out.
LOSSES = ("19169002", "85116003", "156073000", "17369002", "35999006")
ENDING_ICD10 = ("O80", "O82", "O02", "O03", "O04")


def expression(events: Table, moments: Table) -> Table:
    """Compute the state of pregnancy as known at each moment."""
    pregnancies = _select_pregnancies(events, moments)
    current = pregnancies.filter(pregnancies.ended.isnull())
    return join_to_moments(
        moments,
        _read_date(events, moments, EDD_CODE, "edd"),
        _read_date(events, moments, LMP_CODE, "lmp"),
        select_latest(current, pregnancy_since=current.time, pregnancy_source=current.source),
        _find_last_end(events, moments, pregnancies),
        _count_pregnancies(pregnancies),
        _count_losses(events, moments),
    )


def _read_date(events: Table, moments: Table, code: str, name: str) -> Table:
    """Read the ISO date of the latest observation of ``code``; other texts are unknown."""
    stated = events.filter(events.code == code).mutate(date=events.text_value[:10].try_cast("date"))
    dated = select_known(stated.filter(stated.date.notnull()), moments, "observation")
    newest = select_latest(dated, value=dated.date, source=dated.source)
    return newest.select(*KEY, **{name: _midnight(newest.value), f"{name}_source": newest.source})


def _midnight(date: ibis.expr.types.DateValue) -> TimestampValue:
    return date.cast(ibis.dtype("timestamp('UTC')"))


def _select_pregnancies(events: Table, moments: Table) -> Table:
    """Select the pregnancy conditions known at each moment; ``ended`` is null while one goes on."""
    begun = select_known(events.filter(matches_concept(events.code, "pregnancy")), moments, "condition")
    closing = select_known(events, moments, "condition.end")
    ends = closing.group_by(*KEY, record=closing.parent).aggregate(ended=closing.time.max())
    return begun.left_join(ends, [*KEY, "record"]).select(*begun.columns, "ended")


def _find_last_end(events: Table, moments: Table, pregnancies: Table) -> Table:
    """Find the last end: birth, loss, or an abatement that no open condition outlives."""
    births = select_known(
        events.filter(matches_code(events.code, (*ENDING_PROCEDURES, *LOSSES), ENDING_ICD10)),
        moments,
        "procedure",
        "condition",
    )
    shut, other = pregnancies.filter(pregnancies.ended.notnull()), pregnancies.view()
    outlived = [
        *KEY,
        other.ended.isnull(),
        other.time <= shut.ended,
        to_seconds(other.time) >= to_seconds(shut.time) - LONGEST.days * DAY,
    ]
    over = shut.anti_join(other, outlived)
    all_ends = births.select(*KEY, end=births.time).union(over.select(*KEY, end=over.ended))
    return all_ends.group_by(*KEY).aggregate(pregnancy_ended=all_ends.end.max())


def _count_pregnancies(pregnancies: Table) -> Table:
    """Count pregnancies: the conditions that did not begin inside another one."""
    other = pregnancies.view()
    inside = [
        *KEY,
        other.place < pregnancies.place,
        ibis.coalesce(other.ended, ibis.literal(FOREVER)) >= pregnancies.time,
        to_seconds(other.time) >= to_seconds(pregnancies.time) - LONGEST.days * DAY,
    ]
    first = pregnancies.anti_join(other, inside)
    return first.group_by(*KEY).aggregate(pregnancies=first.record.nunique())


def _count_losses(events: Table, moments: Table) -> Table:
    """Count miscarriages: days with a loss, or else a recorded history of loss."""
    lost = select_known(events.filter(matches_concept(events.code, "miscarriage")), moments, "condition")
    history = matches_code(lost.code, ("161744009",), ("Z87.59",))
    day = to_seconds(lost.time) // DAY
    # the column is named ``told`` since the group's definition hashes its SQL
    counts = lost.group_by(*KEY).aggregate(losses=day.nunique(where=~history), told=history.any().cast("int64"))
    return counts.select(*KEY, miscarriages=ibis.greatest(counts.losses, counts.told))


source = FileSource(
    name="pregnancy",
    path="data/features/pregnancy/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="pregnancy",
    entities=[subject],
    ttl=timedelta(0),
    schema=[
        Field(name="edd", dtype=UnixTimestamp, description="expected delivery date"),
        Field(name="edd_source", dtype=String, description="source line of the expected delivery date"),
        Field(name="lmp", dtype=UnixTimestamp, description="first day of the last menstrual period"),
        Field(name="lmp_source", dtype=String, description="source line of the last menstrual period"),
        Field(name="pregnancy_since", dtype=UnixTimestamp, description="onset of the open pregnancy condition"),
        Field(name="pregnancy_source", dtype=String, description="source line of the open pregnancy condition"),
        Field(name="pregnancy_ended", dtype=UnixTimestamp, description="end of the last pregnancy: birth or loss"),
        Field(name="pregnancies", dtype=Int64, description="pregnancies on record, the current one included"),
        Field(name="miscarriages", dtype=Int64, description="miscarriages on record"),
    ],
    source=source,
    owner="data-engineering",
    description="The open pregnancy, or how the last one ended.",
)
