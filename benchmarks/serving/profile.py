"""Where a request's time goes, step by step, in this process and on one thread."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.serving.figures import row
from benchmarks.serving.questions import questions
from bentos.personalizer.personalizer import Personalizer
from feature_repo.store import online
from models.prompt.candidates import build_candidates
from models.prompt.personalize import apply_program
from models.prompt.ranking import rank_segments
from models.prompt.rendering import render_prompt
from models.safety.triage.rules import find_red_flags, read_context
from pipelines.packaging import serving
from pmlm.settings import Settings


def profile(settings: Settings, subjects: list[int], rounds: int = 3) -> list[dict[str, Any]]:
    """Median milliseconds per step over ``subjects``, with new questions and warm caches."""
    torch.set_num_threads(1)
    personalizer = Personalizer.open(settings, serving.current_release(settings))
    encoder, refiner, count = personalizer.encoder, personalizer._refiner, personalizer._count
    asked = questions(100_000)
    seconds: dict[str, list[float]] = defaultdict(list)

    def measure(name: str, step: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = step(*arguments)
        seconds[name].append(time.perf_counter() - started)
        return result

    for turn in range(rounds + 1):
        if turn == 1:
            seconds.clear()  # the first turn fills the memories that a running endpoint has filled
        for subject in subjects:
            question = next(asked)
            row_ = measure("features", online.read, settings.feast, subject)
            as_of = measure("clock", settings.now)
            found = measure("candidates", build_candidates, row_, as_of, count, "en")
            measure("encode_question", encoder.encode, [question])
            segments = measure("rank", rank_segments, question, found, encoder)
            program = measure("policy", refiner.refine, question, segments)
            measure("render_initial", render_prompt, segments, "plain", "en")
            measure("render", apply_program, segments, program, "en")
            measure("triage", find_red_flags, question, "en", read_context(row_, as_of))
    unread = questions(200_000)
    batch = [[next(unread) for _ in range(8)] for _ in range(20)]
    for eight in batch:
        measure("encode_8_questions", encoder.encode, eight)
    return [row(f"profile.{name}", 1e3 * statistics.median(times), "ms", len(times)) for name, times in seconds.items()]
