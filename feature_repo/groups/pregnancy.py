"""Pregnancy: what the record states of it, its dates, its last end, how many.

Statements only: ``models.patient.gestational_age`` interprets them at request time, in training as in serving. The
codes are in ``models/code_files/pregnancy.csv``. ``pregnancy_codes`` and its parallel arrays have every condition,
procedure, observation and episode of care that states something, newest first, at most 64; a value is "" for an open
condition, ``ended DAY/N`` for one closed by DAY and not earlier than N days before it, ``within N d`` for an end on its
day or up to N days before, else the observation's text. ``; undated`` follows where the entry has no date, and its
time is then when it became known.

``edd`` and ``lmp`` are the newest dates stated in full, at 00:00 UTC. A pregnancy is a condition of the concept
``pregnancy``; it *ends* with a delivery, a termination, a loss, or the abatement of its condition, unless another
pregnancy condition of the same pregnancy goes on. Conditions that begin while another pregnancy condition is open (and
no longer than 308 days old) are of the same pregnancy and count once.
"""

from __future__ import annotations

from datetime import timedelta

import ibis
from feast import FeatureView, Field, FileSource
from feast.types import Array, Int64, String, UnixTimestamp
from ibis.expr.types import Table, TimestampValue

from feature_repo.concepts import matches_codes, matches_concept
from feature_repo.entities import subject
from feature_repo.point_in_time import (
    DAY,
    FOREVER,
    KEY,
    collect_newest,
    join_to_moments,
    select_known,
    select_latest,
    to_seconds,
)
from models.code_sets import CodeSet
from models.patient.gestational_age import LONGEST
from models.patient.pregnancy_statements import (
    CHILD_CODE,
    CONDITION_CODES,
    EDD_CODES,
    ENDED_CODES,
    LMP_CODES,
    OBSERVATION_CODES,
    OUTCOME_CODES,
    UNDATED,
)

LIMIT = 64
READS_UNDATED = True  # the column ``undated`` of record versions
HISTORY_OF_LOSS = CodeSet(frozenset({"SNOMED//161744009"}))


def expression(events: Table, moments: Table) -> Table:
    """Compute the state of pregnancy as known at each moment."""
    pregnancies = _select_pregnancies(events, moments)
    current = pregnancies.filter(pregnancies.ended.isnull())
    return join_to_moments(
        moments,
        _collect_statements(events, moments),
        _read_date(events, moments, EDD_CODES, "edd"),
        _read_date(events, moments, LMP_CODES, "lmp"),
        select_latest(current, pregnancy_since=current.time, pregnancy_source=current.source),
        _find_last_end(events, moments, pregnancies),
        _count_pregnancies(pregnancies),
        _count_losses(events, moments),
    )


def _collect_statements(events: Table, moments: Table) -> Table:
    """Collect the parallel arrays of statements as known at each moment."""
    stated = _join_ends(
        select_known(events.filter(matches_codes(events.code, CONDITION_CODES)), moments, "condition", "procedure"),
        select_known(events, moments, "condition.end"),
    )
    cared = _join_ends(select_known(events, moments, "episode"), select_known(events, moments, "episode.end"))
    observed = select_known(events.filter(matches_codes(events.code, OBSERVATION_CODES)), moments, "observation")
    observed = observed.mutate(value=ibis.coalesce(observed.text_value.lower(), ""))
    columns = (*KEY, "place", "code", "value", "time", "undated", "source")
    every = stated.select(*columns).union(cared.select(*columns)).union(observed.select(*columns))
    return collect_newest(
        every,
        LIMIT,
        pregnancy_codes=every.code,
        pregnancy_values=every.value + ibis.cases((every.undated, UNDATED), else_=""),
        pregnancy_times=every.time,
        pregnancy_sources=every.source,
    )


def _join_ends(begun: Table, closing: Table) -> Table:
    """Add ``value``: when each was closed, or how exactly its day is known."""
    ends = closing.group_by(*KEY, record=closing.parent).aggregate(
        ended=closing.time.max(), span=closing.numeric_value.coalesce(0).argmax(closing.place)
    )
    joined = begun.left_join(ends, [*KEY, "record"]).select(*begun.columns, "ended", "span")
    days = ibis.coalesce(joined.span, joined.numeric_value, 0).floor().cast("int64").cast("string")
    closed = ibis.literal("ended ") + joined.ended.date().cast("string") + "/" + days
    value = ibis.cases(
        (joined.ended.notnull(), closed),
        (joined.numeric_value.notnull(), ibis.literal("within ") + days + " d"),
        else_="",
    )
    return joined.mutate(value=value)


def _read_date(events: Table, moments: Table, codes: CodeSet, name: str) -> Table:
    """Read the ISO date of the latest observation of ``codes``; partial dates and other texts are unknown."""
    stated = events.filter(matches_codes(events.code, codes), events.text_value.length() >= len("2026-06-01"))
    stated = stated.mutate(date=stated.text_value[:10].try_cast("date"))
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
    """Find the last end with a date: birth, loss, or an abatement that no open condition outlives."""
    births = select_known(events.filter(matches_codes(events.code, ENDED_CODES)), moments, "procedure", "condition")
    outcomes = select_known(
        events.filter(
            (matches_codes(events.code, OUTCOME_CODES) & (events.text_value == "ended")) | (events.code == CHILD_CODE)
        ),
        moments,
        "observation",
    )
    shut, other = pregnancies.filter(pregnancies.ended.notnull()), pregnancies.view()
    outlived = [
        *KEY,
        other.ended.isnull(),
        other.time <= shut.ended,
        to_seconds(other.time) >= to_seconds(shut.time) - LONGEST.days * DAY,
    ]
    over = shut.anti_join(other, outlived)
    births, outcomes = (state.filter(~state.undated) for state in (births, outcomes))
    all_ends = births.select(*KEY, end=births.time).union(over.select(*KEY, end=over.ended))
    all_ends = all_ends.union(outcomes.select(*KEY, end=outcomes.time))
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
    history = matches_codes(lost.code, HISTORY_OF_LOSS)
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
        Field(name="pregnancy_codes", dtype=Array(String), description="codes of what the record states of pregnancy"),
        Field(name="pregnancy_values", dtype=Array(String), description="what each says beyond its code"),
        Field(name="pregnancy_times", dtype=Array(UnixTimestamp), description="when each was stated or began"),
        Field(name="pregnancy_sources", dtype=Array(String), description="source line of each"),
        Field(name="pregnancies", dtype=Int64, description="pregnancies on record, the current one included"),
        Field(name="miscarriages", dtype=Int64, description="miscarriages on record"),
    ],
    source=source,
    owner="data-engineering",
    description="The open pregnancy, or how the last one ended.",
)
