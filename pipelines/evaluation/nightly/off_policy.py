"""What patients would have rated the challenger's answers, estimated from the log before it serves.

Each rated answer is matched to its episode (``pipelines.training.rated_answers``), where the challenger makes its own
choice; answers without one are counted. Only patients of the gate split are read: the challenger has learnt from the
train split's replies and ratings, and the test split is locked. A figure for people, in ``metrics/evaluation.json`` and
``metrics/gate.json``; the gate does not decide on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.refiner.interface import Refiner
from models.reward.off_policy import JudgedAnswer, estimate_value, match_weight
from models.schema import EditProgram, Episode
from pipelines.evaluation.nightly.intervals import bootstrap_mean
from pipelines.splits import GATE
from pipelines.training.rated_answers import match_episodes, read_rated
from pmlm.settings import Settings


def estimate_challenger(
    settings: Settings, night: str, challenger: Refiner, episodes: Sequence[Episode]
) -> dict[str, Any] | None:
    """Estimate the challenger's points; None where no patient has rated an answer."""
    rated = read_rated(settings, night)
    if not rated:
        return None
    answers = []
    for one, episode in match_episodes(settings, rated, (e for e in episodes if e.split == GATE)):
        logged = EditProgram(one.picks, one.style, one.log_prob)
        chosen = challenger.refine(episode.question, episode.segments)
        points = float(one.points or 0.0)
        answers.append(JudgedAnswer(one.subject, points, logged, chosen, match_weight(logged, chosen)))
    found = estimate_value(answers)
    interval = bootstrap_mean(found.terms, [a.subject for a in answers])
    values = {
        "logged_points": sum(a.points for a in answers) / len(answers) if answers else float("nan"),
        "ips": found.ips,
        "snips": found.snips,
        "dr": found.dr,
        "dr_low": interval.ci_low,
        "dr_high": interval.ci_high,
        "effective_answers": found.ess,
    }
    counts = {"rated": len(rated), "matched": len(answers), "patients": interval.patients}
    return {**counts, **{name: round(value, 6) if value == value else None for name, value in values.items()}}
