"""GEPA and MIPROv2 improve an instruction over HTTP, and say why they cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.refiner.interface import Caps
from models.reward.terms import SentenceScores, Trial
from pipelines.evaluation.study.comparison import prompt_optimizers
from pipelines.params import load_params
from pipelines.training import gains
from pipelines.training.rewards import Rewards
from pmlm.errors import TrainingError
from pmlm.settings import Settings
from tests.answering_server import serving
from tests.little_episodes import episode

EPISODES = [e for e in (episode(i, "train") for i in range(24)) if e.facts]
BEHIND = {s.text for e in EPISODES for s in e.free if s.key in e.facts}
BETTER = "Choose what a CLINICAL reply depends on."


class Facts:
    """A scorer: the more of its facts the prompt states, the likelier a reply."""

    id = "facts"

    def score_sentences(self, trials: list[Trial]) -> list[SentenceScores]:
        known = {(e.question, e.reply): {s.text for s in e.free if s.key in e.facts} for e in EPISODES}
        worth = [-4.0 + 0.5 * sum(text in t.prompt for text in known[t.question, t.reply]) for t in trials]
        return [SentenceScores((w,) * len(t.reply), (1,) * len(t.reply)) for w, t in zip(worth, trials, strict=True)]


class Chatting:
    """A language model behind HTTP that proposes a better instruction and follows it."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.requests.append(body)
        messages = json.dumps(body["messages"], ensure_ascii=False)
        return 200, {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self._reply(messages)}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip

    def _reply(self, asked: str) -> str:
        if "[[ ## keep ## ]]" in asked and "[[ ## sentences ## ]]" in asked:
            shown = asked.rpartition("[[ ## sentences ## ]]")[2].partition("[[ ## at_most")[0].replace("\\n", "\n")
            lines = re.findall(r"^(\d+)\. (.+)$", shown, re.MULTILINE)
            question = asked.rpartition("[[ ## question ## ]]")[2].partition("[[ ## sentences")[0].replace("\\n", "")
            behind = {s.text for e in EPISODES if e.question in question for s in e.free if s.key in e.facts}
            chosen = [int(n) for n, text in lines if ("CLINICAL" in asked) == (text in behind)]
            return f"[[ ## keep ## ]]\n{chosen}\n\n[[ ## completed ## ]]"
        fields = re.findall(r'"(\w+)": "\{', asked.partition("Outputs will be a JSON object")[2].replace('\\"', '"'))
        if fields:
            return json.dumps(dict.fromkeys(fields, BETTER))
        wanted = re.findall(r"Respond with the corresponding output fields, starting with the field (.+)", asked)
        names = re.findall(r"\[\[ ## (\w+) ## \]\]", wanted[-1]) if wanted else []
        if names:
            filled = [f"[[ ## {name} ## ]]\n{BETTER}" for name in names if name != "completed"]
            return "\n\n".join([*filled, "[[ ## completed ## ]]"])
        return f"```\n{BETTER}\n```"


@pytest.fixture
def model() -> Iterator[Chatting]:
    chatting = Chatting()
    with serving(chatting) as chatting.base_url:  # type: ignore[attr-defined]
        yield chatting


def search(model: Chatting) -> tuple[prompt_optimizers.InstructionSearch, Rewards]:
    reward = Rewards(Facts(), 0.001)  # type: ignore[arg-type]
    measured = [gains.measure_gains(reward, e, 8) for e in EPISODES[:12]]
    reward.asked = 0
    settings = Settings(llm_base_url=model.base_url, llm_model="capable", llm_api_key="key")  # type: ignore[attr-defined]
    return prompt_optimizers.InstructionSearch(settings, Caps(2, 30), measured, reward, 0), reward


@pytest.mark.parametrize("method", [prompt_optimizers.GEPA, prompt_optimizers.MIPRO])
def test_a_better_instruction_is_found_within_the_reward_evaluations(method: str, model: Chatting) -> None:
    pytest.importorskip("dspy")
    pytest.importorskip("optuna")
    searching, reward = search(model)
    found = getattr(searching, method)(60)
    assert "CLINICAL" in found.instruction
    assert 0 < reward.asked - len(searching.measured) <= 60
    hits = [k in e.facts for e in EPISODES[12:] for k in found.refine(e.question, e.segments).picks]
    assert len(hits) >= 4
    assert all(hits)
    asked = len(model.requests)
    found.refine(EPISODES[12].question, EPISODES[12].segments)
    assert len(model.requests) == asked  # equal cases are asked once
    assert found.refine("Anything?", ()).picks == ()
    replies = [sentence for e in EPISODES for sentence in e.reply[1:]]
    assert not [r for r in replies if r in json.dumps(model.requests)]


def test_a_model_that_does_not_answer_is_reported_without_what_was_sent(model: Chatting) -> None:
    pytest.importorskip("dspy")
    searching, _ = search(model)
    searching.lm.kwargs["api_base"] = "http://127.0.0.1:9/v1"
    searching.lm.num_retries = 0
    refiner = prompt_optimizers.InstructedRefiner(
        "gepa", prompt_optimizers._build_predictor(), searching.lm, Caps(2, 30)
    )
    with pytest.raises(TrainingError, match="gepa: the language model gave no answer") as caught:
        refiner.refine(EPISODES[0].question, EPISODES[0].segments)
    assert EPISODES[0].question not in str(caught.value)


def test_they_are_absent_and_the_error_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(Settings(home=tmp_path))
    reward = Rewards(Facts(), 0.001)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="no capable language model is configured"):
        prompt_optimizers.optimize_instructions(Settings(home=tmp_path, llm_base_url=None), params, [], reward)
    monkeypatch.setattr(prompt_optimizers, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"pip install 'pmlm\[dspy\]'"):
        prompt_optimizers.optimize_instructions(
            Settings(home=tmp_path, llm_base_url="http://127.0.0.1:9/v1"), params, [], reward
        )
    assert reward.asked == 0
