"""The apps mounted on the service, each in a package of its own.

An app is light to import (a bento is built without loading a model) and reaches the models through
``bentos.personalizer.current.personalizer()``; the principal is at ``request.state.principal``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def list_apps() -> Iterator[tuple[str, Any]]:
    """Each path and ASGI app; "/" last, because it matches every path."""
    from bentos.cds.app import app as cds
    from bentos.mcp.app import app as tools
    from bentos.openai.app import app as gateway
    from bentos.web.app import app as page

    yield "/v1", gateway
    yield "/", cds
    yield "/", tools
    yield "/", page
