"""The style is learnt from ratings of served answers; the picks stay what they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models.encoder import MiniLM
from models.feedback import Feedback
from models.refiner.featurizer import Featurizer
from models.refiner.inference import decode_batch
from models.refiner.interface import STYLES
from models.refiner.policy import Policy, PolicyConfig
from pipelines.training import methods, style
from tests.little_episodes import episode

EPISODES = [episode(i, "train") for i in range(48)]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _rated(number: int, given: str, flipped: bool = False) -> Feedback:
    points = 5.0 if (given == "detailed") != flipped else 2.0
    return Feedback(
        id=f"{number:032x}", answer=f"{number:032x}", subject=number, at=NOW, received=NOW, giver=1, by="patient",
        kind="rating", points=points, picks=(), style=given, log_prob=0.0, refiner="r",
        release="x", endpoint="answer",
    )  # fmt: skip


@pytest.mark.parametrize("flipped", [0, 5], ids=["honest ratings", "every fifth rating flipped"])
def test_a_style_that_patients_rate_better_is_learnt_and_no_pick_moves(flipped: int) -> None:
    encoder, reader = MiniLM(), Featurizer(MiniLM())
    prompts = methods.build_prompts(EPISODES, reader, 8)
    policy = Policy(PolicyConfig(8, 2, 30))
    policy.pointer.set_table(reader.build_table())
    rows = [p.rows for p in prompts]
    before = decode_batch(policy.eval(), rows)[0]
    poisoned = [bool(flipped) and i % 5 == 0 for i in range(60)]
    rated = [(_rated(i, STYLES[i % 3], poisoned[i]), EPISODES[i % 48]) for i in range(60)]
    assert "60 rated answers" in style.learn_style(policy, prompts, EPISODES, rated, encoder, 0)
    after = decode_batch(policy.eval(), rows)[0]
    assert [ids[1:] for ids in after] == [ids[1:] for ids in before]
    assert {policy.config.actions.program(ids, p.keys).style for ids, p in zip(after, prompts, strict=True)} == {
        "detailed"
    }
    assert style.learn_style(policy, prompts, EPISODES, rated[:20], encoder, 0) == style.NOT_ENOUGH
