"""The public face of PMLM: the client, the command line, settings, errors, storage.

``from pmlm import Client`` is all that an application needs (``pmlm.client``, ``pmlm.api_types``). ``pmlm.settings``,
``pmlm.errors`` and ``pmlm.storage`` are imported everywhere, ``pmlm.cli`` by the command alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pmlm.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Import :class:`Client` on first use, so that ``pmlm.settings`` loads neither httpx nor its types."""
    if name == "Client":
        from pmlm.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
