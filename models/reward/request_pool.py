"""Score trials concurrently, one request each, and keep finished scores on failure.

``ScorerError.done`` has the scores made before the failure, by position, so the cache can store them and a rerun pays
for the rest only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from models.reward.terms import SentenceScores, Trial


class ScorerError(RuntimeError):
    """A scorer's server gave no usable answer; ``done`` has the finished scores.

    No patient text is in its message.
    """

    def __init__(self, message: str, done: Mapping[int, SentenceScores] | None = None) -> None:
        super().__init__(message)
        self.done = dict(done or {})


def score_concurrently(
    trials: Sequence[Trial], one: Callable[[Trial], SentenceScores], at_once: int
) -> list[SentenceScores]:
    """Call ``one`` on each trial, ``at_once`` at a time; start no trial after an error."""
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
