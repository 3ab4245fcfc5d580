"""Plant text in FHIR records, and check that prompts fence it.

strip_fence(p) = p without what is between <record> and </record>
no fault      ⇔  one fence, every line inside it begins with its type, and strip_fence(p) is unchanged
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]
FENCE = re.compile(r"<record>\n(.*?)</record>\n", re.S)
_TYPED = re.compile(r"[^:：\n]{1,40}[:：] ?\S.*")


def find_leaves(resource: Any, path: Path = ()) -> Iterator[Path]:
    """Find the path of every string in a resource."""
    if isinstance(resource, str):
        yield path
    elif isinstance(resource, dict | list):
        for key, value in resource.items() if isinstance(resource, dict) else enumerate(resource):
            yield from find_leaves(value, (*path, key))


def plant(resource: dict[str, Any], path: Path, text: str) -> dict[str, Any]:
    """Copy the resource with ``text`` at ``path``."""
    whole = copy.deepcopy(resource)
    place: Any = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return whole


def strip_fence(prompt: str) -> str:
    """The prompt without the content of its fence."""
    return FENCE.sub("<record></record>", prompt)


def find_faults(prompt: str, clean: str, needle: str) -> list[str]:
    """Find what is wrong with a prompt with ``needle`` planted, against the clean prompt."""
    fences = FENCE.findall(prompt)
    found = []
    if len(fences) != 1 or prompt.count("<record>") != 1 or prompt.count("</record>") != 1:
        found.append("not one fence")
    if strip_fence(prompt) != strip_fence(clean):
        found.append("other words outside the fence")
    if needle.lower() in strip_fence(prompt).lower():
        found.append("planted text outside the fence")
    if not all(_TYPED.fullmatch(line) for fence in fences for line in fence.splitlines()):
        found.append("an untyped line inside the fence")
    return found
