"""Serve another release to a share of patients, and try one silently on every question.

    canary   patients with u(patient) < share get its prompts; u ∈ [0, 1) is a keyed hash, so nobody changes sides
    shadow   after each prompt it chooses for the same record and question, and only how far it agrees is counted

Both are releases of this clinic of the same code as the one that is served, loaded and hashed like it. One that cannot
be loaded is logged, and everybody gets the current release. What a shadow chose for whom is stored nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Generic, TypeVar

from bentos.telemetry import logs, metrics
from pmlm.settings import Settings

#: Prompts that wait for the shadow; beyond them it skips, since it must cost no request its time.
MOST_WAITING = 32
_RANGE = 1 << 63


R = TypeVar("R")


class OtherReleases(Generic[R]):
    """The canary and the shadow of one endpoint; None where the settings name none."""

    def __init__(self, canary: R | None = None, shadow: R | None = None) -> None:
        self.canary, self.shadow = canary, shadow
        self._waiting = BoundedSemaphore(MOST_WAITING)
        self._thread = ThreadPoolExecutor(1, "pmlm-shadow")

    def try_shadow(self, kept: Collection[str], choose: Callable[[], Collection[str]]) -> None:
        """Let the shadow ``choose`` beside what was ``kept``, in a thread of its own, if it is not behind."""
        if not self._waiting.acquire(blocking=False):
            metrics.count_shadow("skipped")
            return
        self._thread.submit(self._compare, set(kept), choose)

    def _compare(self, ours: set[str], choose: Callable[[], Collection[str]]) -> None:
        try:
            started = time.perf_counter()
            theirs = set(choose())
            overlap = len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0
            metrics.observe_shadow(overlap, time.perf_counter() - started)
        except Exception as error:  # a shadow never troubles the endpoint
            metrics.count_shadow("failed")
            logs.logger().warning("the shadow release failed", reason=type(error).__name__)
        finally:
            self._waiting.release()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def is_of_canary(settings: Settings, subject: int) -> bool:
    """Whether a patient is of the share that gets the canary's prompts, in every worker and at any time."""
    return settings.pseudonym("canary", str(subject)) < settings.canary_share * _RANGE
