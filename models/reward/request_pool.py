"""Many trials at once, one request each; what was paid for is never lost when a server dies halfway.

Not part of the paper. ``ScorerError.done`` holds the scores that came before the failure, by position, so that the
cache can keep them and a rerun pays only for the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from models.reward.terms import SentenceScores, Trial


class ScorerError(RuntimeError):
    """A scorer's server gave no usable answer; no patient text is in its words. ``done``: what was scored by then."""

    def __init__(self, message: str, done: Mapping[int, SentenceScores] | None = None) -> None:
        super().__init__(message)
        self.done = dict(done or {})


def each(trials: Sequence[Trial], one: Callable[[Trial], SentenceScores], at_once: int) -> list[SentenceScores]:
    """``one`` of every trial, ``at_once`` at a time, in order. After a ScorerError no further trial is begun."""
    stopped = threading.Event()

    def unless_stopped(trial: Trial) -> SentenceScores | None:
        if stopped.is_set():
            return None
        try:
            return one(trial)
        except BaseException:
            stopped.set()
            raise

    with ThreadPoolExecutor(at_once) as pool:
        futures: list[Future[SentenceScores | None]] = [pool.submit(unless_stopped, trial) for trial in trials]
    done: dict[int, SentenceScores] = {}
    failures: list[ScorerError] = []
    for i, future in enumerate(futures):
        try:
            scores = future.result()
        except ScorerError as error:
            failures.append(error)
        else:
            if scores is not None:
                done[i] = scores
    if failures:
        raise ScorerError(str(failures[0]), done) from failures[0]
    return [done[i] for i in range(len(trials))]
