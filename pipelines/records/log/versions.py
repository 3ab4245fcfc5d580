"""Compare a drop's drafts with the log: new versions, and deletions of withdrawn facts."""

from __future__ import annotations

from typing import Any

import polars as pl

from models.schema import DELETED
from pipelines.records.log.event_log import COLUMNS, SCHEMA, TIME
from pipelines.records.log.known_versions import NEWER, OLDER
from pipelines.records.read.fhir_time import Micros

#: The places of the two tables in the spill folder, both with key ``resource``.
DRAFTS, TOUCHED = "drafts", "touched"

#: A draft is an event not yet compared with the log: ``known`` is when its record says it became known, ``since`` as
#: in ``RawResource``, ``resource`` the hash of type and id.
DRAFT_SCHEMA: dict[str, Any] = {
    "subject_id": pl.Int64,
    "time": pl.Int64,
    "code": pl.String,
    "numeric_value": pl.Float64,
    "text_value": pl.String,
    "known": pl.Int64,
    "kind": pl.String,
    "unit": pl.String,
    "encounter_id": pl.Int64,
    "record": pl.Int64,
    "parent": pl.Int64,
    "source": pl.String,
    "since": pl.Int64,
    "resource": pl.Int64,
}
#: Every record under which an earlier version of a resource may have a fact, with the resource's present source, the
#: version that it states (0 for none) and whether it is an allergy.
TOUCHED_SCHEMA: dict[str, Any] = {
    "record": pl.Int64,
    "source": pl.String,
    "since": pl.Int64,
    "resource": pl.Int64,
    "updated": pl.Int64,
    "version": pl.Int64,
    "allergy": pl.Boolean,
}

SECOND: Micros = 1_000_000  # versions of one day's drop are known within the second that ends it
_VERSION_COLUMNS = ["record", "source", "known_at", "code", "subject_id", "time", "encounter_id"]


def find_new_versions(
    log: pl.LazyFrame,
    own: pl.LazyFrame,
    drafts: pl.DataFrame,
    touched: pl.DataFrame,
    verdicts: pl.DataFrame,
    end: Micros,
    history: bool,
    drop_end: Micros,
) -> pl.DataFrame:
    """The events to append, in ``SCHEMA``.

    ``log`` is the log so far, ``own`` the part that earlier imports of this same drop wrote, ``end`` when the new
    versions become known, ``drop_end`` the end of the drop's own day; ``verdicts`` say of some versions, by ``source``,
    that they are newer or older than those of other drops. A draft adds nothing where it equals its record's latest
    version, where this drop wrote it before, where it is older, or where a later drop has a version that nothing says
    is older. Facts that a resource's latest version in the log has and its new version has not become ``DELETED``
    versions.
    """
    older = verdicts.filter(pl.col("verdict") == OLDER).select("source")
    drafts, touched = (frame.join(older, on="source", how="anti") for frame in (drafts, touched))
    stated, touched = _add_known_at(_choose_versions(drafts), end, history), _choose_versions(touched)
    latest = _read_latest(log, touched.select("record"))
    if latest.is_empty():
        return stated.select(COLUMNS)
    written = _read_own(own, touched)
    ours = written.with_columns(ours=pl.lit(True))
    last = latest.join(ours, on=["record", "source"], how="left")
    last = last.select("record", pl.col("ours").fill_null(False), was="source", last="known_at")
    stale = touched.join(last, on="record").filter(_is_stale(drop_end)).select("source").unique()
    stale = stale.join(verdicts.filter(pl.col("verdict") == NEWER), on="source", how="anti")
    stated, touched = (frame.join(stale, on="source", how="anti") for frame in (stated, touched))
    is_new = pl.col("was").is_null() | (pl.col("was") != pl.col("source"))
    fresh = stated.join(written, on=["record", "source"], how="anti").join(last, on="record", how="left")
    after_last = pl.max_horizontal("known_at", pl.col("last") + pl.duration(microseconds=1))
    fresh = fresh.filter(is_new).with_columns(known_at=after_last)
    changed = touched.join(written, on="source", how="anti").join(last, on="record").filter(is_new)
    return pl.concat([fresh.select(COLUMNS), _build_deletions(log, changed, stated, end)])


def _is_stale(drop_end: Micros) -> pl.Expr:
    """Whether the log has a newer version of any fact of the resource.

    Such a version waited in quarantine, or came in a late drop, while a later drop brought a newer one. A drop's own
    version (``ours``) is never later than the drop.
    """
    waited = (pl.col("since") > 0) & (pl.col("last") > pl.col("since").cast(TIME))
    late = (pl.col("since") == 0) & ~pl.col("ours") & (pl.col("last") >= pl.lit(drop_end + SECOND).cast(TIME))
    return (pl.col("was") != pl.col("source")) & (waited | late)


def _choose_versions(drafts: pl.DataFrame) -> pl.DataFrame:
    """One draft per record: the drop's own, else the newest from quarantine."""
    rank = pl.when(pl.col("since") == 0).then(pl.lit(2**62)).otherwise(pl.col("since"))
    ordered = drafts.with_columns(rank=rank).sort(
        "record", "rank", "source", descending=[False, True, False], maintain_order=True
    )
    return ordered.unique("record", keep="first", maintain_order=True).drop("rank")


def _add_known_at(drafts: pl.DataFrame, end: Micros, history: bool) -> pl.DataFrame:
    """Add ``known_at``: ``end``, or in a clinic's first drop the time each fact was recorded."""
    clock = pl.coalesce("known", "time", pl.lit(end)) if history else pl.lit(end)
    return drafts.with_columns(
        known_at=pl.min_horizontal(clock, pl.lit(end)).cast(pl.Int64).cast(TIME),
        time=pl.col("time").cast(TIME),
        numeric_value=pl.col("numeric_value").cast(pl.Float32),
    )


def _read_latest(log: pl.LazyFrame, records: pl.DataFrame) -> pl.DataFrame:
    """The latest version of each of some records."""
    wanted = records.unique().lazy()
    versions = log.select(_VERSION_COLUMNS).join(wanted, on="record", how="semi").collect(engine="streaming")
    return versions.sort("record", "known_at", "source").unique("record", keep="last", maintain_order=True)


def _read_own(own: pl.LazyFrame, touched: pl.DataFrame) -> pl.DataFrame:
    """What this drop wrote earlier, by record or source of ``touched``."""
    written = own.select("record", "source").unique()
    parts = (written.join(touched.select(key).unique().lazy(), on=key, how="semi") for key in ("record", "source"))
    return pl.concat(parts).unique().collect(engine="streaming")


def _build_deletions(log: pl.LazyFrame, changed: pl.DataFrame, stated: pl.DataFrame, end: Micros) -> pl.DataFrame:
    """``DELETED`` versions of the facts that a resource's new version no longer states."""
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
