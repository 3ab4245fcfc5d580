"""The personalizer that this process serves: how the mounted apps reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pmlm.errors import ServingError

if TYPE_CHECKING:
    from bentos.personalizer.personalizer import Personalizer


@dataclass(slots=True)
class Served:
    """What a service serves now; a switch of the release replaces it for the requests that begin afterwards."""

    personalizer: Personalizer


_newest: list[Served] = []
_of_request: ContextVar[Personalizer | None] = ContextVar("pmlm_personalizer", default=None)


def set_newest(personalizer: Personalizer) -> Served:
    """Note the personalizer of a service that has loaded its release."""
    _newest[:] = [Served(personalizer)]
    return _newest[0]


def newest_served() -> Served | None:
    """What the service that started last in this process serves."""
    return _newest[0] if _newest else None


def newest() -> Personalizer | None:
    """The personalizer of the service that started last in this process."""
    return _newest[0].personalizer if _newest else None


@contextmanager
def bind(personalizer: Personalizer | None) -> Iterator[None]:
    """Let :func:`personalizer` give this one to everything a request runs, threads included."""
    token = _of_request.set(personalizer)
    try:
        yield
    finally:
        _of_request.reset(token)


def of_request() -> Personalizer | None:
    """The personalizer to which the running request is bound."""
    return _of_request.get()


def personalizer() -> Personalizer:
    """The personalizer of the running request's service; :class:`ServingError` before a release is loaded."""
    found = _of_request.get() or newest()
    if found is None:
        raise ServingError("no release is loaded")
    return found
