"""Train the policy by GRPO (TRL's ``GRPOTrainer``) on the reward of sampled edit programs.

    A_g  = (r_g − mean of r over the group) / std of r over the batch
    loss = −mean_g mean_t min(ρ_t A_g,t, clip(ρ_t, 1 ± ε) A_g,t)     A_g,t = A_g, or its pick's credit (departure 7)
    ρ_t  = π_θ(a_t | a_<t) / π_old(a_t | a_<t),   g = 1 … G programs per question, r in nats, length price included

Departures from GRPO as published (Shao et al. 2024) [P] and from TRL's defaults [T]:
1. [P] No KL term (β = 0, TRL's default): the edit vocabulary and the caps bound how far a policy can move.
2. [P, T] Advantages are scaled by the batch's std, not the group's, which would amplify near-equal rewards.
3. [T] ``loss_type="grpo"``, the mean over each program's own actions as published, not ``dapo``.
4. [P, T] Constant learning rate 2e-4, not 1e-6; 5e-4 with several iterations per batch destroyed two warm starts. One
   iteration per batch makes ρ = 1, so nothing is clipped.
5. [P, T] Actions are edits, not text; slots are shuffled per prompt; dropout is off.
6. [P, T] Zero-variance groups (all rewards equal), which give no gradient, are counted. A reward that is not finite is
   left out of its group. A weight that is not finite ends training with the weights of the last good step.
7. [P] A pick's advantage is its own credit by regression within the group (``credit``), not the program's: with 8
   programs of a question one reward says little about four picks.
8. [P] With ``styles_only`` all weights but those of the style are frozen: picks stay what they are.

Run: ``pmlm train`` (``train.method: grpo``, the default).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor, nn
from transformers import (
    GenerationMixin,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.modeling_outputs import CausalLMOutputWithPast
from trl import GRPOConfig, GRPOTrainer

from models.refiner.actions import Actions
from models.refiner.credit import build_advantages
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from models.schema import EditProgram

EQUAL_REWARDS = 1e-6  # nats; a group with a smaller range has zero variance
#: (episode ids, programs) → rewards in nats, one each.
RewardFunction = Callable[[Sequence[str], Sequence[EditProgram]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class PolicyPrompt:
    """One episode as table rows: the question's, each slot's, and each slot's segment key."""

    episode: str
    rows: tuple[int, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrpoOptions:
    """Options of a run; ``batch`` programs per step, a multiple of ``generations`` (G).

    ``styles_only``: learn the style alone.
    """

    steps: int = 12
    batch: int = 32
    generations: int = 8
    learning_rate: float = 2e-4
    seed: int = 0
    styles_only: bool = False


@dataclass(slots=True)
class GrpoCurves:
    """One value per step, and how the run ended; written to ``metrics/train.json``.

    ``reward`` mean (nats), ``dead`` share of zero-variance groups (the JSON key is frozen), ``entropy`` (nats),
    ``picks`` per program, ``loss``; ``unscored`` counts rewards that are not finite, ``stopped`` is why it ended early.
    """

    reward: list[float] = field(default_factory=list)
    dead: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    picks: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    unscored: int = 0
    stopped: str = ""


def train_grpo(
    policy: Policy, rows: int, prompts: Sequence[PolicyPrompt], reward: RewardFunction, options: GrpoOptions
) -> GrpoCurves:
    """Train ``policy`` in place on its current table of ``rows`` rows."""
    curves = GrpoCurves()
    if options.steps == 0 or not prompts:
        return curves
    guard = _KeepLastGood(policy, curves)
    with tempfile.TemporaryDirectory() as folder, _trainable(policy, options.styles_only):
        trainer = _SegmentCreditTrainer(
            model=PolicyLanguageModel(policy),
            reward_funcs=_wrap_reward(policy, reward, options.generations, curves),
            args=_trainer_config(folder, policy, options),
            train_dataset=_build_dataset(prompts, options.seed),
            processing_class=build_tokenizer(policy.config.actions, rows),
            callbacks=[guard],
        )
        trainer.remove_callback(PrinterCallback)  # its output is in the curves
        trainer.train()
    policy.eval()
    return curves


class PolicyLanguageModel(PreTrainedModel, GenerationMixin):
    """The causal language model that TRL trains: a policy's own layers, so that it learns in place."""

    config_class = PolicyConfig
    base_model_prefix = "pointer"

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy.config)
        self.pointer, self.lm_head = policy.pointer, policy.lm_head

    def get_input_embeddings(self) -> nn.Module:
        """Return the first layer, on which the trainer registers gradient hooks."""
        return self.pointer.read_segment

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def forward(self, input_ids: Tensor, logits_to_keep: int = 0, **unused: Any) -> CausalLMOutputWithPast:
        """Compute logits of the next action [batch, length or ``logits_to_keep``, actions]."""
        hidden = self.pointer(input_ids=input_ids).last_hidden_state
        return CausalLMOutputWithPast(logits=self.lm_head(hidden[:, -logits_to_keep:]))


def build_tokenizer(actions: Actions, rows: int) -> PreTrainedTokenizerFast:
    """Build a tokenizer over actions and ``rows`` row names (``R0`` …), since TRL expects text."""
    vocabulary = {word: i for i, word in enumerate([*actions.words, *(f"R{r}" for r in range(rows))])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<stop>",
        unk_token="<unknown>",
        padding_side="left",
    )


class _SegmentCreditTrainer(GRPOTrainer):
    """TRL's trainer with an advantage per action; the loss takes such advantages as they are."""

    def _calculate_rewards(self, *args: Any, **options: Any) -> torch.Tensor:
        found: torch.Tensor = super()._calculate_rewards(*args, **options)
        self.programs_rewards = found[:, 0].tolist()
        return found

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        ids, mask = output["completion_ids"], output["completion_mask"]
        programs = [row[: int(n)] for row, n in zip(ids.tolist(), mask.sum(1), strict=True)]
        made = build_advantages(programs, self.programs_rewards, int(self.num_generations or 1), ids.shape[1])
        output["advantages"] = torch.tensor(made, dtype=torch.float32)
        return output


@contextmanager
def _trainable(policy: Policy, styles_only: bool) -> Iterator[None]:
    """Freeze all but the style's weights while training, where asked."""
    frozen = [p for n, p in policy.pointer.named_parameters() if styles_only and not n.startswith("style.")]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def _trainer_config(folder: str, policy: Policy, options: GrpoOptions) -> GRPOConfig:
    return GRPOConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=False,
        fp16=False,
        report_to=[],
        seed=options.seed,
        max_steps=options.steps,
        per_device_train_batch_size=options.batch,
        num_generations=options.generations,
        max_completion_length=policy.config.pick_cap + 2,
        learning_rate=options.learning_rate,
        lr_scheduler_type="constant",
        num_iterations=1,
        temperature=1.0,
        beta=0.0,
        loss_type="grpo",
        scale_rewards="batch",
        generation_kwargs={"use_cache": False},
        disable_dropout=True,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
    )


def _build_dataset(prompts: Sequence[PolicyPrompt], seed: int) -> Dataset:
    """Build TRL's dataset with shuffled slots; the reward receives ``episode`` and ``keys``."""
    random = np.random.default_rng(seed)
    rows = []
    for prompt in prompts:
        order = random.permutation(len(prompt.keys))
        text = " ".join(f"R{row}" for row in [prompt.rows[0], *(prompt.rows[1 + i] for i in order)])
        rows.append({"prompt": text, "episode": prompt.episode, "keys": [prompt.keys[i] for i in order]})
    return Dataset.from_list(rows)


def _wrap_reward(
    policy: Policy, reward: RewardFunction, generations: int, curves: GrpoCurves
) -> Callable[..., list[float | None]]:
    """Wrap our reward for TRL: convert ids to programs and record the curves."""
    actions = policy.config.actions

    def reward_completions(
        completion_ids: list[list[int]], episode: list[str], keys: list[list[str]], **_: Any
    ) -> list[float | None]:
        programs = [actions.program(ids, slots) for ids, slots in zip(completion_ids, keys, strict=True)]
        values = np.array(reward(episode, programs), dtype=np.float64)
        scored = np.isfinite(values)
        groups = np.where(scored, values, values[scored].mean() if scored.any() else 0.0).reshape(-1, generations)
        curves.reward.append(float(groups.mean()))
        curves.dead.append(float((np.ptp(groups, axis=1) < EQUAL_REWARDS).mean()))
        curves.picks.append(float(np.mean([len(p.picks) for p in programs])))
        curves.unscored += int((~scored).sum())
        return [float(value) if good else None for value, good in zip(values, scored, strict=True)]

    return reward_completions


class _KeepLastGood(TrainerCallback):
    """Restores the last finite weights and stops at a NaN; records loss and entropy."""

    def __init__(self, policy: Policy, curves: GrpoCurves) -> None:
        self.policy = policy
        self.curves = curves
        self.good = self._weights()

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in self.policy.state_dict().items()}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        weights = self._weights()
        if all(bool(value.isfinite().all()) for value in weights.values()):
            self.good = weights
        else:
            self.policy.load_state_dict(self.good)
            self.curves.stopped = f"a weight became NaN at step {state.global_step}; kept step {state.global_step - 1}"
            control.should_training_stop = True
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if logs and logs.get("entropy") is not None and logs.get("loss") is not None:
            self.curves.entropy.append(float(logs["entropy"]))
            self.curves.loss.append(float(logs["loss"]))
