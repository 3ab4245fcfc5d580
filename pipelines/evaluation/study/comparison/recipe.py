"""Train a refiner for the evaluation: another seed, or without what it is tested on.

Warm start on given single gains (already measured, so free), then GRPO, by the night's own functions and parameters.
The result is stored in the workspace's cache under a hash of all it depends on, so a rerun trains nothing.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from models.refiner import checkpoint, grpo
from models.refiner.featurizer import Featurizer
from models.refiner.inference import PolicyRefiner
from models.refiner.policy import Policy
from models.refiner.policy_config import VERSION
from models.schema import Episode
from pipelines.embedding_cache import CachedEncoder
from pipelines.params import Params
from pipelines.training import champion, guidance, methods, style
from pipelines.training.gains import EpisodeGains
from pipelines.training.provenance import WARM_START, current_provenance
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

CURVES = "curves.json"


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Input of a training: ``steps`` of GRPO on ``episodes``; ``start`` is (id, policy).

    ``styles_only``: GRPO leaves the picks as they are.
    """

    gains: Sequence[EpisodeGains]
    episodes: Sequence[Episode]
    seed: int
    steps: int
    reward_id: str
    start: tuple[str, Policy] | None = None
    styles_only: bool = False


@dataclass(frozen=True, slots=True)
class TrainedRefiner:
    """The refiner and its warm start before RL; ``curves`` as ``grpo.GrpoCurves`` in JSON."""

    refined: PolicyRefiner
    warm_start: PolicyRefiner
    curves: dict[str, Any]


def train_or_load(
    settings: Settings, recipe: TrainingRecipe, params: Params, encode: CachedEncoder, reward: grpo.RewardFunction
) -> TrainedRefiner:
    """Load the recipe's refiner from the cache, else train it; errors store nothing."""
    folder = settings.workspace / "cache" / "retrained" / _hash_recipe(recipe, params)
    if not (folder / checkpoint.DESCRIPTION).exists():
        with champion.replace_folder(folder) as part:
            policy, curves = _start_policy(recipe, params), grpo.GrpoCurves()
            reader = Featurizer(encode)
            everything = {e.episode_id: e for e in (*(g.episode for g in recipe.gains), *recipe.episodes)}
            prompts = methods.build_prompts(list(everything.values()), reader, params.slots)
            known = [g.episode for g in recipe.gains]
            guided = guidance.build_guided_examples(known, reader, params.slots)
            table = reader.build_table()
            policy.pointer.set_table(table)
            examples = methods.build_examples(recipe.gains, prompts, guided)
            methods.fit_warm_start(policy, examples, params.train, recipe.seed)
            checkpoint.save_policy(part / WARM_START, policy, current_provenance())
            wanted = {e.episode_id for e in recipe.episodes}
            chosen = [p for p in prompts if p.episode in wanted]
            if recipe.steps and chosen:
                asked = methods.grpo_options(params.train, recipe.steps, recipe.seed)
                if recipe.styles_only:
                    asked = replace(asked, styles_only=True, learning_rate=style.RATE)
                curves = grpo.train_grpo(policy, len(table), chosen, reward, asked)
            checkpoint.save_policy(part, policy, current_provenance())
            write_json(part / CURVES, asdict(curves))
    loaded = [checkpoint.load_refiner(f, encode) for f in (folder, folder / WARM_START)]
    if not isinstance(loaded[0], PolicyRefiner) or not isinstance(loaded[1], PolicyRefiner):
        raise checkpoint.CheckpointError(f"no policy in {folder}")
    return TrainedRefiner(loaded[0], loaded[1], read_json(folder / CURVES))


def _start_policy(recipe: TrainingRecipe, params: Params) -> Policy:
    if recipe.start is None:
        return methods.build_policy(params, recipe.seed)
    return copy.deepcopy(recipe.start[1])


def _hash_recipe(recipe: TrainingRecipe, params: Params) -> str:
    """Hash everything that the trained weights depend on."""
    digest = hashlib.sha256()
    inputs = [recipe.seed, recipe.steps, recipe.reward_id, recipe.start and recipe.start[0], params.train.model_dump()]
    inputs += [recipe.styles_only, VERSION]
    digest.update(
        json.dumps([*inputs, params.slots, asdict(current_provenance())], sort_keys=True, default=str).encode()
    )
    for g in recipe.gains:
        digest.update(b"gains" + _episode_bytes(g.episode) + g.useful.tobytes() + g.styles.tobytes())
        digest.update(b"" if g.uptake is None else g.uptake.tobytes())
    for e in sorted(recipe.episodes, key=lambda e: e.episode_id):
        digest.update(b"episode" + _episode_bytes(e))
    return digest.hexdigest()[:24]


def _episode_bytes(e: Episode) -> bytes:
    segments = [
        (s.key, s.kind, s.text, s.tokens, s.recency_days, s.change, s.peer_lift, s.surprise) for s in e.segments
    ]
    return json.dumps([e.episode_id, e.question, segments, e.reply, e.specific]).encode()
