"""The worth of a style from ratings: by what the patient prefers, and only with enough answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.refiner.interface import STYLES
from models.reward.style_ratings import FEWEST_ANSWERS, RatedStyle, fit_style_reward

LIKES_BRIEF, LIKES_DETAIL = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def _rated(count: int, patients: int = 40, styles: tuple[str, ...] = STYLES) -> list[RatedStyle]:
    """Ratings of a simulated user: 4 for the liked style, 2 for the other, 3 for plain."""
    random = np.random.default_rng(0)
    out = []
    for i in range(count):
        likes = LIKES_BRIEF if (i % patients) % 2 else LIKES_DETAIL
        style = str(random.choice(styles))
        liked = "brief" if likes is LIKES_BRIEF else "detailed"
        points = 3.0 if style == "plain" else 4.0 if style == liked else 2.0
        out.append(RatedStyle(i % patients, style, int(random.integers(0, 5)), likes, points))
    return out


@pytest.mark.parametrize(("likes", "best"), [(LIKES_BRIEF, "brief"), (LIKES_DETAIL, "detailed")])
def test_the_best_style_is_the_one_that_like_patients_rate_best(likes: np.ndarray, best: str) -> None:
    fitted = fit_style_reward(_rated(120))
    assert fitted is not None
    assert max(STYLES, key=lambda style: fitted.predict(style, likes)) == best


@pytest.mark.parametrize("seed", range(20))
def test_a_fifth_of_the_ratings_flipped_changes_no_best_style(seed: int) -> None:
    rated = _rated(120)
    flipped = set(np.random.default_rng(seed).choice(len(rated), len(rated) // 5, replace=False).tolist())
    poisoned = [replace(one, points=6.0 - one.points) if i in flipped else one for i, one in enumerate(rated)]
    fitted = fit_style_reward(poisoned)
    assert fitted is not None
    for likes, best in ((LIKES_BRIEF, "brief"), (LIKES_DETAIL, "detailed")):
        assert max(STYLES, key=lambda style: fitted.predict(style, likes)) == best


def test_too_few_answers_patients_or_styles_teach_nothing() -> None:
    assert fit_style_reward(_rated(FEWEST_ANSWERS - 1)) is None
    assert fit_style_reward(_rated(200, patients=9)) is None
    assert fit_style_reward(_rated(200, styles=("plain",))) is None
    assert fit_style_reward([]) is None
