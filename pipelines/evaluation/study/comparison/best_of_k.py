"""Best-of-K distillation as a contender: from the same warm start as the night's RL, at as many reward evaluations."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from models.refiner.featurizer import Featurizer
from models.refiner.inference import PolicyRefiner
from models.schema import Episode
from pipelines.embedding_cache import KeptEncoder
from pipelines.training import methods, train
from pipelines.training.provenance import slots
from pipelines.training.rewards import Rewards


def distil_best_of_k(
    warm_start: PolicyRefiner,
    episodes: Sequence[Episode],
    params: dict[str, dict[str, Any]],
    encode: KeptEncoder,
    reward: Rewards,
) -> PolicyRefiner:
    """A copy of ``warm_start`` distilled on ``episodes``, which are the training split's."""
    policy = copy.deepcopy(warm_start.policy)
    reader = Featurizer(encode)
    prompts = train.as_prompts(episodes, reader, slots(params))
    policy.pointer.set_table(reader.build_table())
    methods.distil(policy, prompts, train.rewarded(episodes, reward), params["train"], int(params["train"]["seed"]))
    return PolicyRefiner(policy, encode, "best_of_k")
