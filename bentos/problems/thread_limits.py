"""Limit how many threads one kind of work has, on each event loop apart."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

import anyio

_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, anyio.CapacityLimiter]] = WeakKeyDictionary()


def loop_limiter(work: str, threads: int) -> anyio.CapacityLimiter:
    """The running loop's limiter for this kind of work, made on first use."""
    of_loop = _limiters.setdefault(asyncio.get_running_loop(), {})
    return of_loop.setdefault(work, anyio.CapacityLimiter(threads))
