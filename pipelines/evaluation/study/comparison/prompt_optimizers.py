"""GEPA and MIPROv2 (package ``dspy``): optimise an instruction by which an LLM chooses sentences.

    picks = LLM(instruction, q, numbered S),    instruction* = argmax over the optimiser's proposals of the mean score
    score = σ((R(picks) − R(nothing)) / 0.3 nats),  feedback: what each sentence is worth alone, as measured

Each optimiser gets the reward evaluations that GRPO gets (``grpo_steps · batch``), on the training episodes whose
single gains are known, and with them R(nothing). They run where ``PMLM_LLM_BASE_URL`` names a language model and the
extra ``dspy`` is installed, and are absent otherwise. Questions and candidate sentences of training patients go to that
model; clinicians' replies do not. Nothing is stored on disk: dspy's own cache is off.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from typing import Any

import numpy as np

from models.refiner.interface import Caps, Refiner
from models.schema import EditProgram, Segment
from pipelines.params import Params
from pipelines.training.gains import EpisodeGains
from pipelines.training.rewards import Rewards
from pmlm.errors import TrainingError
from pmlm.settings import Settings

GEPA, MIPRO = "gepa", "mipro"
INSTRUCTION = (
    "A patient asks a question. From the numbered sentences of her record choose those that a clinician's reply to "
    "exactly this question would depend on, the most important first, and no more than allowed."
)
SCALE = 0.3  # nats of reward that take the score from one half to .73
MOST_VALIDATED = 16  # episodes that every proposal of MIPROv2 is judged on
FEWEST_EPISODES = 4
MINIBATCH = 3  # episodes that GEPA reflects on at once
FEEDBACK_SENTENCES = 5


def explain_absence(settings: Settings) -> str:
    """Say why neither can run here; empty where both can."""
    if not settings.llm_base_url:
        return "no capable language model is configured (PMLM_LLM_BASE_URL, PMLM_LLM_MODEL)"
    if find_spec("dspy") is None or find_spec("optuna") is None:
        return "dspy is not installed: pip install 'pmlm[dspy]'"
    return ""


def optimize_instructions(
    settings: Settings, params: Params, measured: Sequence[EpisodeGains], reward: Rewards
) -> dict[str, Refiner]:
    """Optimise ``gepa`` and ``mipro``; TrainingError where they cannot run or the model fails."""
    reason = explain_absence(settings) or ("too few measured episodes" if len(measured) < FEWEST_EPISODES else "")
    if reason:
        raise TrainingError(reason)
    evaluations = params.train.grpo_steps * params.train.batch
    search = InstructionSearch(settings, params.caps, measured, reward, params.train.seed)
    try:
        return {GEPA: search.gepa(evaluations), MIPRO: search.mipro(evaluations)}
    except TrainingError:
        raise
    except Exception as error:  # the message of a library or a server may contain what was sent
        raise TrainingError(f"the search for an instruction failed: {type(error).__name__}") from None


class InstructionSearch:
    """A search for an instruction: language model, episodes, and their rewards."""

    def __init__(
        self, settings: Settings, limits: Caps, measured: Sequence[EpisodeGains], reward: Rewards, seed: int
    ) -> None:
        import dspy

        for name in ("dspy", "gepa", "optuna", "LiteLLM"):
            logging.getLogger(name).setLevel(logging.ERROR)  # they print instructions and examples
        self.lm = dspy.LM(
            f"openai/{settings.llm_name}",
            api_base=settings.llm_base_url,
            api_key=settings.llm_api_key or "none",
            timeout=settings.scorer_timeout_s,
            temperature=0.0,
            cache=False,
        )
        self.proposing = self.lm.copy(temperature=1.0)
        self.limits, self.measured, self.reward, self.seed = limits, measured, reward, seed
        examples = [
            dspy.Example(place=i, **_build_inputs(g.episode.question, _free_segments(g.segments), limits)).with_inputs(
                "question", "sentences", "at_most"
            )
            for i, g in enumerate(measured)
        ]
        half = len(examples) // 2
        self.learnt, self.judged = examples[half:], examples[:half][:MOST_VALIDATED]
        self._known: dict[tuple[int, EditProgram], float] = {}

    def gepa(self, evaluations: int) -> InstructedRefiner:
        """Search by GEPA within so many metric calls, each one reward evaluation."""
        import dspy

        search = dspy.GEPA(
            metric=self.score_with_feedback,
            max_metric_calls=max(1, evaluations - len(self.judged) - 2 * MINIBATCH),  # it completes its last round
            reflection_minibatch_size=MINIBATCH,
            reflection_lm=self.proposing,
            num_threads=1,
            seed=self.seed,
        )
        with dspy.context(lm=self.lm), _silence():
            found = search.compile(_build_predictor(), trainset=self.learnt, valset=self.judged)
        return InstructedRefiner(GEPA, found, self.lm, self.limits)

    def mipro(self, evaluations: int) -> InstructedRefiner:
        """Search by MIPROv2 without demonstrations: no patient's text in a prompt about another."""
        import dspy

        trials = max(1, evaluations // len(self.judged) - 1)  # one goes to the initial instruction
        search = dspy.MIPROv2(
            metric=self.score,
            prompt_model=self.proposing,
            task_model=self.lm,
            max_bootstrapped_demos=0,
            max_labeled_demos=0,
            auto=None,
            num_candidates=min(8, trials + 1),
            num_threads=1,
            seed=self.seed,
            verbose=False,
        )
        with dspy.context(lm=self.lm), _silence():
            found = search.compile(
                _build_predictor(), trainset=self.learnt, valset=self.judged, num_trials=trials, minibatch=False
            )
        return InstructedRefiner(MIPRO, found, self.lm, self.limits)

    def score(self, example: Any, prediction: Any, trace: Any = None) -> float:
        """σ of the reward's gain over choosing nothing, in (0, 1)."""
        return 1 / (1 + math.exp(-self._reward_gain(example, prediction) / SCALE))

    def score_with_feedback(
        self, gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None
    ) -> Any:
        """``score`` with feedback in words, from the measured gains of single sentences."""
        import dspy

        gain = self._reward_gain(gold, pred)
        g = self.measured[gold.place]
        useful = [value for value, s in zip(g.useful, g.segments, strict=True) if not s.pinned]
        order = np.argsort(useful)[::-1]
        best = ", ".join(f"{i + 1} ({useful[i]:+.2f})" for i in order[:FEEDBACK_SENTENCES] if useful[i] > 0) or "none"
        chosen = ", ".join(f"{i} ({useful[i - 1]:+.2f})" for i in _parse_numbers(pred, len(useful))) or "none"
        feedback = (
            f"The choice changed the reward by {gain:+.2f} nats, length priced. "
            f"Alone, the chosen ones are worth: {chosen}. The most useful ones were: {best}."
        )
        return dspy.Prediction(score=1 / (1 + math.exp(-gain / SCALE)), feedback=feedback)

    def _reward_gain(self, example: Any, prediction: Any) -> float:
        g = self.measured[example.place]
        free = _free_segments(g.segments)
        program = _to_program(_parse_numbers(prediction, len(free)), free, self.limits)
        return self._reward(example.place, program) - self._reward(example.place, EditProgram(()))

    def _reward(self, place: int, program: EditProgram) -> float:
        """The reward of a program on a measured episode; equal requests are evaluated once."""
        if (place, program) not in self._known:
            self._known[place, program] = self.reward.outcomes([(self.measured[place].episode, program)])[0].reward
        return self._known[place, program]


class InstructedRefiner:
    """A language model with an instruction, as a ``Refiner``; equal cases are asked once."""

    def __init__(self, id: str, program: Any, lm: Any, limits: Caps) -> None:
        self.id = id
        self.caps = limits
        self._program = program
        self._lm = lm
        self._known: dict[str, list[int]] = {}

    @property
    def instruction(self) -> str:
        return str(self._program.signature.instructions)

    def refine(self, question: str, segments: tuple[Segment, ...]) -> EditProgram:
        """Choose by the model; nothing for an unreadable answer, TrainingError for none."""
        import dspy
        from dspy.utils.exceptions import AdapterParseError

        free = _free_segments(segments)
        asked = _build_inputs(question, free, self.caps)
        key = json.dumps(asked, sort_keys=True)
        if key not in self._known:
            try:
                with dspy.context(lm=self._lm):
                    self._known[key] = _parse_numbers(self._program(**asked), len(free)) if free else []
            except AdapterParseError:
                self._known[key] = []
            except Exception as error:
                raise TrainingError(f"{self.id}: the language model gave no answer: {type(error).__name__}") from None
        return _to_program(self._known[key], free, self.caps)


@contextmanager
def _silence() -> Iterator[None]:
    """Discard progress bars and figures: standard output is the caller's."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def _build_predictor() -> Any:
    import dspy

    return dspy.Predict(dspy.Signature("question: str, sentences: str, at_most: str -> keep: list[int]", INSTRUCTION))


def _free_segments(segments: Sequence[Segment]) -> list[Segment]:
    return [s for s in segments if not s.pinned]


def _build_inputs(question: str, free: Sequence[Segment], limits: Caps) -> dict[str, str]:
    return {
        "question": question,
        "sentences": "\n".join(f"{i}. {s.text}" for i, s in enumerate(free, 1)),
        "at_most": f"{limits.picks} sentences",
    }


def _parse_numbers(prediction: Any, count: int) -> list[int]:
    """Parse the distinct numbers of existing sentences, in the order chosen."""
    numbers = getattr(prediction, "keep", None) or []
    return [i for i in dict.fromkeys(numbers) if isinstance(i, int) and 1 <= i <= count]


def _to_program(numbers: Sequence[int], free: Sequence[Segment], limits: Caps) -> EditProgram:
    return EditProgram(tuple(s.key for s in limits.fit(free[i - 1] for i in numbers)))
