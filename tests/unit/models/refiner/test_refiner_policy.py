"""The pointer policy: its masks, invariance to slot order, and the trainer's view of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trl import GRPOTrainer

from models.refiner import grpo
from models.refiner.actions import FIRST_PICK, FIRST_STYLE, STOP
from models.refiner.featurizer import Featurizer
from models.refiner.greedy_decoder import GreedyDecoder
from models.refiner.inference import PolicyRefiner, decode_batch
from models.refiner.policy import MASKED, Policy
from models.refiner.policy_config import PolicyConfig
from models.relevance.concerns import match_nothing
from models.schema import EditProgram, Segment


def _ids(policy: Policy, rows: tuple[int, ...], actions: list[int]) -> torch.Tensor:
    return torch.tensor([[policy.config.vocab_size + r for r in rows] + actions])


def _allowed(policy: Policy, rows: tuple[int, ...], actions: list[int]) -> set[int]:
    logits = policy(input_ids=_ids(policy, rows, actions), logits_to_keep=1).logits[0, -1]
    return {i for i, value in enumerate(logits.tolist()) if value > MASKED / 2}


def test_a_style_comes_first_and_only_once(read) -> None:
    policy, rows = read.policy(), read.prompts[0].rows
    assert _allowed(policy, rows, []) == {FIRST_STYLE, FIRST_STYLE + 1, FIRST_STYLE + 2}
    after = _allowed(policy, rows, [FIRST_STYLE + 1])
    assert STOP in after
    assert not any(FIRST_STYLE <= a < FIRST_PICK for a in after)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_no_sequence_of_allowed_actions_breaks_a_rule(data, read, world) -> None:
    policy = read.policy()
    i = data.draw(st.integers(0, 159))
    episode, prompt = world.episodes[i], read.prompts[i]
    actions: list[int] = []
    while STOP not in actions:
        actions.append(data.draw(st.sampled_from(sorted(_allowed(policy, prompt.rows, actions)))))
    program = policy.config.actions.program(actions, prompt.keys)
    free = {s.key: s.tokens for s in episode.free}
    assert len(set(program.picks)) == len(program.picks) <= policy.config.pick_cap
    assert set(program.picks) <= set(free)
    assert sum(free[k] for k in program.picks) <= policy.config.token_cap
    assert len(actions) <= policy.config.pick_cap + 2


def test_the_order_of_slots_changes_nothing(read) -> None:
    policy, prompt = read.policy(), read.prompts[3]
    order = torch.randperm(len(prompt.keys), generator=torch.Generator().manual_seed(1)).tolist()
    shuffled = (prompt.rows[0], *(prompt.rows[1 + i] for i in order))
    start = [FIRST_STYLE]
    straight = policy(input_ids=_ids(policy, prompt.rows, start), logits_to_keep=1).logits[0, -1]
    turned = policy(input_ids=_ids(policy, shuffled, start), logits_to_keep=1).logits[0, -1]
    assert torch.allclose(
        straight[[FIRST_PICK + i for i in order]], turned[FIRST_PICK : FIRST_PICK + len(order)], atol=1e-5
    )
    assert torch.allclose(straight[STOP], turned[STOP], atol=1e-5)


def test_padding_on_the_left_changes_nothing(read) -> None:
    policy = read.policy()
    alone, _ = decode_batch(policy, [read.prompts[0].rows[:10]])
    padded, _ = decode_batch(policy, [read.prompts[0].rows[:10], read.prompts[1].rows])
    assert alone[0] == padded[0]


def test_what_is_picked_changes_what_comes_next(read) -> None:
    policy, rows = read.policy(), read.prompts[0].rows
    one = policy(input_ids=_ids(policy, rows, [FIRST_STYLE, FIRST_PICK + 1]), logits_to_keep=1).logits[0, -1]
    other = policy(input_ids=_ids(policy, rows, [FIRST_STYLE, FIRST_PICK + 2]), logits_to_keep=1).logits[0, -1]
    both_open = (one > MASKED / 2) & (other > MASKED / 2)
    assert not torch.allclose(one[both_open], other[both_open])


def test_the_trainer_sees_the_policys_own_log_probabilities(read, tmp_path) -> None:
    policy = read.policy()
    trainer = GRPOTrainer(
        model=grpo.PolicyLanguageModel(policy),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=grpo._trainer_config(str(tmp_path), policy, grpo.GrpoOptions()),
        train_dataset=grpo._build_dataset(read.prompts[:4], 0),
        processing_class=grpo.build_tokenizer(policy.config.actions, len(read.table)),
    )
    prompt = read.prompts[2]
    picks = tuple(s for s in prompt.keys if s != "safety")[:2]
    actions = policy.config.actions.ids(EditProgram(picks, "brief"), prompt.keys)
    ids = _ids(policy, prompt.rows, actions)
    theirs, entropy, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model, ids, torch.ones_like(ids), len(actions), compute_entropy=True
    )
    logits = policy(input_ids=ids).logits[0, -len(actions) - 1 : -1]
    ours = logits.log_softmax(-1).gather(1, torch.tensor(actions)[:, None])[:, 0]
    assert torch.allclose(theirs[0], ours, atol=1e-5)
    assert bool(entropy.isfinite().all())
    assert float(theirs.detach().min()) > MASKED / 2


def test_a_programs_log_probability_is_the_sum_over_its_actions(read, world, encoder) -> None:
    policy = read.policy()
    episode = world.episodes[5]
    program = PolicyRefiner(policy, encoder, "refiner-x").refine(episode.question, episode.segments)
    policy.pointer.set_table(read.table)
    prompt = read.prompts[5]
    actions = policy.config.actions.ids(program, prompt.keys)
    logits = policy(input_ids=_ids(policy, prompt.rows, actions)).logits[0, -len(actions) - 1 : -1]
    total = logits.log_softmax(-1).gather(1, torch.tensor(actions)[:, None]).sum()
    assert program.log_prob == pytest.approx(float(total), abs=1e-4)
    assert program.log_prob < 0


@given(chances=st.lists(st.floats(0.001, 0.99), min_size=1, max_size=12, unique=True), picks=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_a_program_has_the_picks_of_greatest_expected_f1(chances, picks) -> None:
    """The one rule of training, evaluation and serving, against trying every number of picks."""
    segments = tuple(Segment(f"k{i}", "record", f"Fact {i}.", tokens=5) for i in range(len(chances)))
    policy = Policy(PolicyConfig(slots=16, pick_cap=picks, token_cap=60)).eval()
    logits = torch.tensor(chances).logit()
    policy.pointer.score_segments = lambda state: torch.nn.functional.pad(logits, (0, 16 - len(chances)))[None]
    decoder = GreedyDecoder(policy)
    decoder._score = lambda *_: logits.numpy()
    order = sorted(range(len(chances)), key=lambda i: -chances[i])
    total = sum(chances)
    f1 = [2 * sum(chances[i] for i in order[:k]) / (k + total) for k in range(1, min(picks, len(order)) + 1)]
    best = f1.index(max(f1)) + 1
    ids, _ = decoder.decode(np.zeros((1 + len(chances), 384), np.float32), segments, match_nothing())
    assert ids[1:] == [*(FIRST_PICK + i for i in order[:best]), STOP]


def test_of_a_signals_value_and_its_change_one_is_picked(read, encoder) -> None:
    segments = (
        Segment("weight.latest", "record", "Weight was 71 kg last week.", tokens=8),
        Segment("weight.change", "change", "Weight rose by 4 kg over 3 months.", tokens=8),
        Segment("pulse.latest", "record", "Pulse was 71 last week.", tokens=8),
    )
    policy, reader = read.policy(), Featurizer(encoder)
    rows = tuple(reader.add_prompt("Is my weight normal?", segments))
    policy.pointer.set_table(reader.build_table())
    open_slots = {FIRST_PICK, FIRST_PICK + 1, FIRST_PICK + 2}
    assert _allowed(policy, rows, [FIRST_STYLE]) & open_slots == open_slots
    assert _allowed(policy, rows, [FIRST_STYLE, FIRST_PICK + 1]) & open_slots == {FIRST_PICK + 2}
    picks = PolicyRefiner(policy, encoder, "refiner-x").refine("Is my weight normal?", segments).picks
    assert not {"weight.latest", "weight.change"} <= set(picks)


def test_a_prompt_without_segments_can_only_be_styled_and_stopped(read, encoder) -> None:
    program = PolicyRefiner(read.policy(), encoder, "refiner-x").refine("Hello?", ())
    assert program.picks == ()


def test_one_question_is_answered_as_in_a_batch_of_the_policys_own(read, world, encoder) -> None:
    policy = read.policy()
    refiner, reader = PolicyRefiner(policy, encoder, "refiner-x"), Featurizer(encoder)
    cases = [(e.question, e.segments[: 5 + i]) for i, e in enumerate(world.episodes[:12])]
    prompts = [reader.add_prompt(question, segments) for question, segments in cases]
    policy.pointer.set_table(reader.build_table())
    for (question, segments), ids, log_prob in zip(cases, *decode_batch(policy, prompts), strict=True):
        program = refiner.refine(question, segments)
        assert policy.config.actions.ids(program, [s.key for s in segments]) == ids
        assert program.log_prob == pytest.approx(log_prob, abs=1e-4)


def test_what_guidance_requires_is_picked_first_and_within_the_caps(read, encoder) -> None:
    policy, question = read.policy(), "Can I take ibuprofen for the pain?"
    required = ("condition.kidney_disease", "condition.asthma", "condition.reflux")
    others = tuple(Segment(f"k{i}", "record", f"Fact number {i}.", tokens=5) for i in range(6))
    record = (*others, *(Segment(key, "record", f"States {key}.", tokens=5) for key in reversed(required)))
    refiner = PolicyRefiner(policy, encoder, "refiner-x")
    assert refiner.refine(question, record).picks[:3] == required
    assert refiner.refine(question, others).picks[:3] != required
    long = tuple(replace(s, tokens=policy.config.token_cap - 4) if s.key == required[0] else s for s in record)
    picks = refiner.refine(question, long).picks
    assert picks[0] == required[0]
    assert sum(s.tokens for s in long if s.key in picks) <= policy.config.token_cap


def test_segments_beyond_the_slots_are_not_seen(read, encoder) -> None:
    many = tuple(Segment(f"k{i}", "record", f"Fact number {i}.", tokens=5) for i in range(80))
    refiner = PolicyRefiner(read.policy(slots=8), encoder, "refiner-x")
    assert set(refiner.refine("Why?", many).picks) <= {s.key for s in many[:8]}
