"""Collect the garbage that validation leaves, between the chunks of an import alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


@contextmanager
def collect_garbage_per_chunk() -> Iterator[Callable[[], int]]:
    """Disable automatic garbage collection; yield the function to call after each chunk.

    Parsed records have no cycles, and looking for some at every 700th object is a sixth of an import's time. Great
    Expectations' results have cycles, and refer to whole tables.
    """
    gc.disable()
    try:
        yield partial(gc.collect, 0)  # the youngest generation: what was made since the last call
    finally:
        gc.enable()
