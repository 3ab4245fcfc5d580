"""Text planted in FHIR records, and where it may turn up: inside a prompt's fence as data, or nowhere.

outside(p) = p without what stands between <record> and </record>
obeyed nowhere  ⇔  a prompt has one fence, each line inside begins with its type, and outside(p) is what it was
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
    """The path of every string in a resource."""
    if isinstance(resource, str):
        yield path
    elif isinstance(resource, dict | list):
        for key, value in resource.items() if isinstance(resource, dict) else enumerate(resource):
            yield from find_leaves(value, (*path, key))


def plant(resource: dict[str, Any], path: Path, text: str) -> dict[str, Any]:
    """A copy of the resource with ``text`` at ``path``."""
    whole = copy.deepcopy(resource)
    place: Any = whole
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return whole


def strip_fence(prompt: str) -> str:
    """The prompt without what its fence holds."""
    return FENCE.sub("<record></record>", prompt)


def find_faults(prompt: str, clean: str, needle: str) -> list[str]:
    """What is wrong with a prompt whose record holds ``needle``, beside the prompt of the same record without it."""
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
