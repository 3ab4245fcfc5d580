"""Define each group by what decides its rows; a group of another definition is rebuilt.

Every feature file states its definition. A self group's is a hash of its SQL. Rows that a program computes have a
declared revision instead, which is raised by hand when the rows change, so that editing a comment rebuilds nothing:

    peers       peers-<PEERS_REVISION>-<hash of k, the rule of what is current, and the self groups' definitions>
    trajectory  trajectory-<TRAJECTORY_REVISION>-<version of the model in use, or None>

``tests/unit/pipelines/features/build/test_definitions.py`` says when a revision must be raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from feature_repo.store.services import find_groups
from models.patient.currency import DEFAULT_RULE, CurrencyRule
from pipelines.features.engines.peer_rows import PEERS_REVISION
from pipelines.features.engines.query import compile_group
from pipelines.features.trajectory import model_store
from pipelines.features.trajectory.rows import TRAJECTORY_REVISION
from pmlm.settings import Settings

PEERS, TRAJECTORY = "peers", "trajectory"
MODELLED = (TRAJECTORY, PEERS)  # groups that no expression computes


def define_groups(settings: Settings) -> dict[str, str]:
    """Define each group by the code, settings and trajectory model in use, peers last."""
    of_self = define_self_groups()
    return of_self | {
        TRAJECTORY: define_trajectory(model_store.read_version(settings)),
        PEERS: define_peers(of_self.values(), settings.k_anonymity, settings.currency_rule),
    }


def define_self_groups() -> dict[str, str]:
    """Define each group that an expression computes."""
    return {name: compile_group(module).definition for name, module in find_groups().items() if name not in MODELLED}


def define_trajectory(model_version: str | None) -> str:
    return f"trajectory-{TRAJECTORY_REVISION}-{model_version}"


def define_peers(self_definitions: Iterable[str], k: int, rule: CurrencyRule = DEFAULT_RULE) -> str:
    """Define peers: aggregates of at least ``k`` patients, found by these self features, current by ``rule``."""
    own_rule = [] if rule == DEFAULT_RULE else [f"{rule.medicine_days} {rule.acute_days}"]
    parts = "\n".join([str(k), *own_rule, *sorted(self_definitions)])
    return f"peers-{PEERS_REVISION}-{hashlib.sha256(parts.encode()).hexdigest()[:16]}"
