"""What of a drop is new to the log: versions not yet there, and facts that a correction or deletion takes back."""

from __future__ import annotations

import polars as pl

from models.schema import DELETED
from pipelines.records.log.event_log import COLUMNS, SCHEMA, TIME
from pipelines.records.read.fhir_time import Micros

SECOND: Micros = 1_000_000  # versions of one day's drop are known within the second that ends it
_BEFORE = ["record", "source", "known_at", "code", "subject_id", "time", "encounter_id"]


def find_new_versions(
    log: pl.LazyFrame,
    own: pl.LazyFrame,
    drafts: pl.DataFrame,
    touched: pl.DataFrame,
    end: Micros,
    history: bool,
    told: Micros,
) -> pl.DataFrame:
    """The events to append, in ``SCHEMA``.

    ``log`` is the log so far, ``own`` the part that this same drop wrote before (a drop amended and read again
    adds only what it did not hold before), ``told`` the end of the drop's own day. A draft equal to its record's latest
    version adds nothing, nor does one that a drop of a later day has said something newer about. Facts of a resource's
    latest version that its new version no longer states become ``DELETED`` versions.
    """
    stated, touched = _add_known_at(_choose_versions(drafts), end, history), _choose_versions(touched)
    latest = _read_latest(log, touched.select("record"))
    if latest.is_empty():
        return stated.select(COLUMNS)
    written = _read_own(own, touched)
    ours = written.with_columns(ours=pl.lit(True))
    last = latest.join(ours, on=["record", "source"], how="left")
    last = last.select("record", pl.col("ours").fill_null(False), was="source", last="known_at")
    stale = touched.join(last, on="record").filter(_is_stale(told)).select("source").unique()
    stated, touched = (frame.join(stale, on="source", how="anti") for frame in (stated, touched))
    news = pl.col("was").is_null() | (pl.col("was") != pl.col("source"))
    fresh = stated.join(written, on=["record", "source"], how="anti").join(last, on="record", how="left").filter(news)
    bumped = pl.max_horizontal("known_at", pl.col("last") + pl.duration(microseconds=1))
    fresh = fresh.with_columns(known_at=bumped)
    changed = touched.join(written, on="source", how="anti").join(last, on="record").filter(news)
    return pl.concat([fresh.select(COLUMNS), _build_deletions(log, changed, stated, end)])


def _is_stale(told: Micros) -> pl.Expr:
    """Whether a resource's version (``source``, ``since``) is older than what the log holds of any of its facts.

    That is what waited in quarantine, or came in a drop that was late itself, while a later drop said something
    else. A drop's own version (``ours``) is never later than the drop.
    """
    waited = (pl.col("since") > 0) & (pl.col("last") > pl.col("since").cast(TIME))
    late = (pl.col("since") == 0) & ~pl.col("ours") & (pl.col("last") >= pl.lit(told + SECOND).cast(TIME))
    return (pl.col("was") != pl.col("source")) & (waited | late)


def _choose_versions(drafts: pl.DataFrame) -> pl.DataFrame:
    """One draft a record: the drop's own before one from quarantine, of those the one of the newest drop."""
    rank = pl.when(pl.col("since") == 0).then(pl.lit(2**62)).otherwise(pl.col("since"))
    ordered = drafts.with_columns(rank=rank).sort(
        "record", "rank", "source", descending=[False, True, False], maintain_order=True
    )
    return ordered.unique("record", keep="first", maintain_order=True).drop("rank")


def _add_known_at(drafts: pl.DataFrame, end: Micros, history: bool) -> pl.DataFrame:
    """``known_at``: the end of the drop's day; in a clinic's history the moment each fact was written down."""
    clock = pl.coalesce("known", "time", pl.lit(end)) if history else pl.lit(end)
    return drafts.with_columns(
        known_at=pl.min_horizontal(clock, pl.lit(end)).cast(pl.Int64).cast(TIME),
        time=pl.col("time").cast(TIME),
        numeric_value=pl.col("numeric_value").cast(pl.Float32),
    )


def _read_latest(log: pl.LazyFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The latest version of each of some records."""
    found = log.select(_BEFORE).join(records.unique().lazy(), on="record", how="semi").collect(engine="streaming")
    return found.sort("record", "known_at", "source").unique("record", keep="last", maintain_order=True)


def _read_own(own: pl.LazyFrame, touched: pl.DataFrame) -> pl.DataFrame:
    """What this drop wrote before of some records, or under some sources."""
    found = own.select("record", "source").unique()
    parts = (found.join(touched.select(key).unique().lazy(), on=key, how="semi") for key in ("record", "source"))
    return pl.concat(parts).unique().collect(engine="streaming")


def _build_deletions(log: pl.LazyFrame, changed: pl.DataFrame, stated: pl.DataFrame, end: Micros) -> pl.DataFrame:
    """``DELETED`` versions of the facts that a resource's former version held and its new one does not."""
    replaced = changed.select("was", new="source").unique("was", keep="first", maintain_order=True)
    siblings = log.select("record", "source").join(replaced.lazy(), left_on="source", right_on="was", how="semi")
    former = _read_latest(log, siblings.select("record").collect(engine="streaming")).join(
        replaced, left_on="source", right_on="was"
    )
    gone = former.filter(pl.col("code") != DELETED).join(stated, on="record", how="anti")
    at = pl.max_horizontal(pl.lit(end).cast(pl.Int64).cast(TIME), pl.col("known_at") + pl.duration(microseconds=1))
    nothing = {name: pl.lit(None, dtype=SCHEMA[name]) for name in ("numeric_value", "text_value", "unit", "parent")}
    return gone.with_columns(
        code=pl.lit(DELETED), kind=pl.lit("deleted"), known_at=at, time=at, source="new", **nothing
    ).select(COLUMNS)
