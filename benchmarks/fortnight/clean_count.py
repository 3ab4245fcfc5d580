"""Count what a clean intake of the same drops gives, and what the fortnight's event log lost or has twice.

Run as a process of its own beside the nights: ``python -m benchmarks.fortnight.clean_count HOME DROPS``. Feedback of
the endpoint, which a clean intake does not have, is not compared; an erased patient is left out on both sides.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

import polars as pl

from models.feedback import parse_feedback
from pipelines.records.feedback.intake import reward_log_folder
from pipelines.records.log import event_log
from pmlm.settings import Settings
from pmlm.storage import read_lines

#: What makes two rows one event; the batch that they are in does not.
EVENT = ["subject_id", "record", "code", "time", "known_at", "numeric_value", "text_value", "source"]


def take_in(settings: Settings) -> None:
    """Take every drop in, in date order, and nothing else."""
    from pipelines.records import stage
    from pipelines.records.drops import list_drops

    for drop in list_drops(settings):
        stage.run(settings, drop.night)


def compare_events(real: pl.DataFrame, clean: pl.DataFrame) -> tuple[int, int]:
    """How many events of ``clean`` the real log lacks, and how many rows it has that are none or one too many.

    Both are counted as multisets: two rows that are equal in all of ``EVENT`` are the same event twice.
    """
    counted = [
        frame.group_by(EVENT).agg(pl.len().cast(pl.Int64).alias("n"))
        for frame in (real.select(EVENT), clean.select(EVENT))
    ]
    both = counted[0].join(counted[1], on=EVENT, how="full", suffix="_clean", nulls_equal=True, coalesce=True)
    difference = both.select(pl.col("n").fill_null(0) - pl.col("n_clean").fill_null(0)).to_series()
    return int(-difference.clip(upper_bound=0).sum()), int(difference.clip(lower_bound=0).sum())


def read_events(settings: Settings, without: set[int]) -> pl.DataFrame:
    """The log's events without some patients, and without those that were made of feedback on answers."""
    given = list_feedback_sources(settings)
    events = event_log.scan_events(settings).filter(~pl.col("subject_id").is_in(sorted(without)))
    return events.filter(~pl.col("source").is_in(sorted(given))).collect()


def list_feedback_sources(settings: Settings) -> set[str]:
    """What the log names as the source of each piece of feedback."""
    found = set()
    for path in sorted(reward_log_folder(settings).glob("*.jsonl")):
        found |= {sha256(one.line().encode()).hexdigest() for one in read_lines(path, parse_feedback)}
    return found


if __name__ == "__main__":
    take_in(Settings(home=Path(sys.argv[1]), drops=Path(sys.argv[2])))
