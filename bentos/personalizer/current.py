"""The personalizer that this process serves: how the mounted apps reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from pmlm.errors import ServingError

if TYPE_CHECKING:
    from bentos.personalizer.personalizer import Personalizer

_opened: list[Personalizer] = []
_bound: ContextVar[Personalizer | None] = ContextVar("pmlm_personalizer", default=None)


def opened(personalizer: Personalizer) -> None:
    """Told by the service when it has loaded its release."""
    _opened[:] = [personalizer]


def latest() -> Personalizer | None:
    """The personalizer loaded last in this process."""
    return _opened[0] if _opened else None


@contextmanager
def bound(personalizer: Personalizer | None) -> Iterator[None]:
    """Let :func:`personalizer` give this one to everything a request runs, threads included."""
    token = _bound.set(personalizer)
    try:
        yield
    finally:
        _bound.reset(token)


def personalizer() -> Personalizer:
    """The personalizer of the running request's service; :class:`ServingError` before a release is loaded."""
    found = _bound.get() or latest()
    if found is None:
        raise ServingError("no release is loaded")
    return found
