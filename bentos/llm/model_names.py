"""Show names of language models without their servers' words and paths."""

from __future__ import annotations

import re
from typing import Any

_NAME = re.compile(r"[\w.:@+~/\\-]{1,120}")


def shorten_path(model: str) -> str:
    """A model's name without the folders that it lies in; ``organisation/model`` stays."""
    is_path = model.startswith(("/", ".", "~", "\\")) or "\\" in model or ":/" in model or model.count("/") > 1
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1] if is_path else model


def read_model_name(given: Any) -> str | None:
    """The name that a server gives its model; None for what is no name."""
    return shorten_path(given) or None if isinstance(given, str) and _NAME.fullmatch(given) else None
