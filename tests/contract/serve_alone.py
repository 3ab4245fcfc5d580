"""Answers one question with only the packages of the ``serve`` extra importable; run in a process of its own.

Prints the answer's keys, or dies on the first import of anything else that is installed here.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from packaging.utils import canonicalize_name

from pipelines.packaging.requirements import closure


class OnlyServing(importlib.abc.MetaPathFinder):
    """Refuses the top-level modules that only packages outside the ``serve`` extra bring."""

    def __init__(self) -> None:
        allowed = closure("pmlm", frozenset({"serve"})) | {"pmlm"}
        owners = importlib.metadata.packages_distributions()
        self.refused = {
            module for module, names in owners.items() if not {canonicalize_name(n) for n in names} & allowed
        }

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] in self.refused:
            raise ModuleNotFoundError(f"{name} is not of the serve extra", name=name)
        return None


sys.meta_path.insert(0, OnlyServing())

from bentos.api_types import PersonalizeRequest  # noqa: E402
from bentos.service import PMLM  # noqa: E402

service = PMLM()
answer = service.personalizer.answer(PersonalizeRequest(patient=sys.argv[1], question="Is it normal to feel tired?"))
sys.stdout.write(json.dumps({"answer": answer.answer, "modules": sorted(m for m in sys.modules if "." not in m)}))
