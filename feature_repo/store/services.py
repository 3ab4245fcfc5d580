"""Find every feature group, and bundle all as one service with one schema hash.

A module of ``feature_repo.groups`` is a feature group if it has a ``view``. No list names the groups: a new file is a
new group.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from feast import FeatureService, FeatureView, Field

from feature_repo import groups as group_package

SERVICE = "pmlm_v1"


@cache
def find_groups() -> dict[str, ModuleType]:
    """Find the modules of ``feature_repo.groups`` that have a ``view``, in name order."""
    found = {}
    for info in sorted(pkgutil.iter_modules(group_package.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{group_package.__name__}.{info.name}")
        if isinstance(getattr(module, "view", None), FeatureView):
            found[info.name] = module
    return found


def list_views() -> list[FeatureView]:
    """List the feature views of all groups, in name order."""
    return [module.view for module in find_groups().values()]


def list_features() -> dict[str, Field]:
    """List every feature by its name, which is unique over all groups."""
    return {field.name: field for view in list_views() for field in view.features}


def build_service(over: Iterable[FeatureView]) -> FeatureService:
    """Build the service that models are trained and served with, over all groups' views."""
    return FeatureService(name=SERVICE, features=list(over), description="All self and peer features.")


def hash_schema() -> str:
    """Hash all features' names and types; a model refuses a store of another hash."""
    lines = (f"{view.name}:{field.name}:{field.dtype}" for view in list_views() for field in view.features)
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]
