"""Name what decides each group's rows: a short text in every feature file; where it differs, the group is rebuilt.

A self group's definition is a hash of its SQL. Rows that a program computes have a declared revision instead, which
is raised by hand when the rows change, so that editing a comment rebuilds nothing:

    peers       peers-<PEERS_REVISION>-<hash of k and of the self groups' definitions>
    trajectory  trajectory-<TRAJECTORY_REVISION>-<version of the model in use, or None>

``tests/unit/pipelines/features/build/test_definitions.py`` says when a revision must be raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from feature_repo.store.services import groups
from pipelines.features.engines.duckdb_engine import compiled
from pipelines.features.engines.peer_rows import PEERS_REVISION
from pipelines.features.trajectory import model_store
from pipelines.features.trajectory.rows import TRAJECTORY_REVISION
from pmlm.settings import Settings

PEERS, TRAJECTORY = "peers", "trajectory"
MODELLED = (TRAJECTORY, PEERS)  # groups that no expression computes


def current_definitions(settings: Settings) -> dict[str, str]:
    """Return each group's definition by the code, settings and trajectory model in use, peers last."""
    of_self = self_definitions()
    return of_self | {
        TRAJECTORY: trajectory_definition(model_store.version(settings)),
        PEERS: peers_definition(of_self.values(), settings.k_anonymity),
    }


def self_definitions() -> dict[str, str]:
    """Return the definition of each group that an expression computes."""
    return {name: compiled(module).definition for name, module in groups().items() if name not in MODELLED}


def trajectory_definition(model_version: str | None) -> str:
    return f"trajectory-{TRAJECTORY_REVISION}-{model_version}"


def peers_definition(self_definitions: Iterable[str], k: int) -> str:
    """Return the definition of peers among at least ``k`` patients with these self features."""
    parts = "\n".join([str(k), *sorted(self_definitions)])
    return f"peers-{PEERS_REVISION}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
