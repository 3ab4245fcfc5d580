"""Answers one question with only the packages of the ``serve`` extra importable; run in a process of its own.

Prints the answer's keys, or dies on the first import of anything else that is installed here.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from packaging.utils import canonicalize_name

from pipelines.packaging.requirements import find_closure

ALLOWED = find_closure("pmlm", frozenset({"serve"})) | {"pmlm"}
UNSEEN = frozenset(
    module
    for module, names in importlib.metadata.packages_distributions().items()
    if not {canonicalize_name(n) for n in names} & ALLOWED
)


class OnlyServing:
    """A finder through which the top-level modules that only packages outside the ``serve`` extra bring are unseen."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] in UNSEEN:
            return None
        found: ModuleSpec | None = self.finder.find_spec(name, path, target)
        return found

    def __getattr__(self, name: str) -> Any:  # what else a finder does: telling of distributions
        return getattr(self.finder, name)


sys.meta_path[:] = [OnlyServing(finder) for finder in sys.meta_path]

from bentos.auth.principal import LOCAL  # noqa: E402
from bentos.service import PMLM  # noqa: E402
from pmlm.api_types import PersonalizeRequest  # noqa: E402

service = PMLM()
answer = service.served.personalizer.answer(
    LOCAL, PersonalizeRequest(patient=sys.argv[1], question="Is it normal to feel tired?")
)
sys.stdout.write(json.dumps({"answer": answer.answer, "modules": sorted(m for m in sys.modules if "." not in m)}))
