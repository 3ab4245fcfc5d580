"""The clinic's ``clinic.yaml`` in each night: what a training reads besides records, good or bad.

The first night's training is short, so the ranking that it faces stays; from the planted night on a whole training
makes a better challenger, and in the bad night somebody's parameters make a worse one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from benchmarks.fortnight.days import TALKED_BEFORE
from benchmarks.fortnight.plan import BadKind, FortnightPlan
from pipelines.synthetic.records.options import HASH_KEY

CLINIC = "fortnight"
#: Caps and the price of a token are twice the usual: the ranking, the first champion, fills the caps, and a policy that
#: has learnt when to stop is better by so much that a gate of a small clinic can see it.
WHOLE: dict[str, Any] = {
    "method": "warm_start",
    "seeds": 3,
    "gain_evaluations": 0,
    "warm_epochs": 20,
    "warm_steps": 300,
    "pick_cap": 8,
    "token_cap": 120,
    "token_price": 0.002,
}
SHORT = WHOLE | {"seeds": 1, "warm_epochs": 1, "warm_steps": 1}
BAD: dict[BadKind, dict[str, Any]] = {
    "untrained": WHOLE | {"warm_epochs": 1, "warm_steps": 1, "warm_learning_rate": 1e-6},
    "one_fact": WHOLE | {"pick_cap": 1, "token_cap": 8},
}
#: As little as a decision needs: a score of a prompt costs a fifth of a second of a processor. ``alpha`` is a tenth of
#: the usual one: four families in thirteen nights are 52 chances of a false alarm, and the planted drifts are great.
PARAMS: dict[str, dict[str, Any]] = {
    "episodes": {"most_train": 320, "most_held_out": 40, "gate_share": 0.4, "test_share": 0.1, "time_quantile": 0.8},
    "trajectory": {"epochs": 1},
    "retrain": {"new_episodes": 150, "every_nights": 9},
    "gate": {"bootstrap": 1000},
    "drift": {"minimum_rows": 12, "window": TALKED_BEFORE, "alpha": 0.001},
}


def choose_recipe(plan: FortnightPlan, night: int) -> dict[str, Any]:
    """The parameters of a training in this night."""
    if night == plan.bad:
        return BAD[plan.bad_kind]
    return WHOLE if night >= plan.better else SHORT


def write_manifest(drops: Path, train: dict[str, Any]) -> None:
    """Write ``clinic.yaml``, as an engineer would change it."""
    manifest = {"name": CLINIC, "clock": "last_drop", "hash_key": HASH_KEY, "synthetic": True}
    text = yaml.safe_dump({**manifest, "params": {**PARAMS, "train": train}}, sort_keys=False)
    drops.mkdir(parents=True, exist_ok=True)
    part = drops / "clinic.yaml.part"
    part.write_text(text)
    part.replace(drops / "clinic.yaml")
