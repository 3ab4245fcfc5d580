"""Erase patients from quarantine: raw lines, and the hashes that later drops are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl

from pipelines.erasure.log_lines import blank_lines
from pipelines.records.deidentify.identifiers import WORDS
from pipelines.records.log.event_log import scan_batches
from pipelines.records.log.quarantine import parse_line, parse_row
from pipelines.records.refusals import PatientFinder
from pmlm.settings import Settings
from pmlm.storage import atomic_write

_HASH_DIGITS = 15  # of a content's hash, as ``known_versions`` stores it


def erase_raw_lines(settings: Settings, subjects: frozenset[int]) -> int:
    """Blank the quarantined resources that name the patients; return how many."""

    finder = PatientFinder(settings, subjects)

    def names_them(line: bytes) -> bool:
        try:
            row = parse_line(line)
        except (ValueError, TypeError):
            return finder.finds_any(line)
        return finder.names_any(parse_row(row)) or finder.finds_any(row.id.encode())

    return sum(blank_lines(path, names_them) for path in sorted(settings.quarantine.glob("*.jsonl")))


def erase_hashes(settings: Settings, subjects: frozenset[int], batches: Iterable[Path]) -> int:
    """Erase the patients' names, records and versions, which are hashes; return how many files changed.

    ``batches`` are the event batches in which the patients' records are; they must not be rewritten yet.
    """
    events = scan_batches(list(batches)).filter(pl.col("subject_id").is_in(sorted(subjects)))
    known = events.select("record", "parent", "source").unique().collect()
    records = pl.concat([known["record"], known["parent"].drop_nulls()]).unique()
    contents = known["source"].str.slice(0, _HASH_DIGITS)
    contents = contents.str.to_integer(base=16, dtype=pl.Int64, strict=False).drop_nulls().unique()
    theirs = pl.col("content").is_in(contents.implode()) | pl.col("resource").is_in(records.implode())
    return (
        _rewrite(settings, "identifiers", lambda rows: _drop_names(rows, subjects))
        + _rewrite(settings, "versions", lambda rows: rows.filter(~theirs))
        + _rewrite(settings, "active", lambda rows: rows.filter(~pl.col("entry").is_in(records.implode())))
        + _rewrite(settings, "waiting", lambda rows: rows.filter(~pl.col("record").is_in(records.implode())))
    )


def _drop_names(rows: pl.DataFrame, subjects: frozenset[int]) -> pl.DataFrame:
    """Without the patients' names; single words of them stay where another patient's or clinician's name has them."""
    mine = pl.col("subject_id").is_in(sorted(subjects))
    words = rows.filter(mine)["hash"].unique()
    others = rows.filter(~mine & (pl.col("subject_id") != WORDS))["hash"].unique()
    only = words.filter(~words.is_in(others.implode()))
    return rows.filter(~mine & ~((pl.col("subject_id") == WORDS) & pl.col("hash").is_in(only.implode())))


def _rewrite(settings: Settings, name: str, select: Callable[[pl.DataFrame], pl.DataFrame]) -> int:
    changed = 0
    for path in _list_files(settings, name):
        before = pl.read_parquet(path)
        after = select(before)
        if len(after) < len(before):
            with atomic_write(path) as temporary:
                after.write_parquet(temporary)
            changed += 1
    return changed


def _list_files(settings: Settings, name: str) -> Iterator[Path]:
    yield from sorted((settings.quarantine / name).glob("*.parquet"))
