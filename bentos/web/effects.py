"""Measure what each choice does to a reply: leave-one-out and add-one under the embedded scorer.

    gain(s) = mean log p(y | p ∪ s, q) − mean log p(y | p \\ s, q)          net(s) = gain(s) − price · tokens(s)

The same likelihood and price that the policy was trained on (``models.reward.terms``), over all tokens of the reply. In
training, y is what the clinician wrote; at serving nobody has written yet, so y is what the caller gives: a
clinician's own reply, or the answer shown, and the page says which. Nothing is learnt from it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from bentos.personalizer.personalizer import Personalizer
from bentos.personalizer.prepared_prompt import PreparedPrompt
from bentos.web.page_types import Effect, Effects
from models.prompt.personalize import Personalized
from models.prompt.rendering import render_opening, render_prompt
from models.refiner.inference import ChoiceProbabilities
from models.reward.embedded_scorer import EmbeddedScorer
from models.reward.terms import Trial, length_term, score_trials
from models.schema import Segment

#: Left-out sentences that are tried, the policy's favourites first: each costs one forward pass.
MOST_LEFT_OUT = 8

_one_at_a_time = threading.Lock()


@lru_cache(maxsize=1)
def _load_scorer(folder: Path) -> EmbeddedScorer:
    """Load the scorer (540 MB) on the first question."""
    return EmbeddedScorer(folder)


def measure_effects(personalizer: Personalizer, prepared: PreparedPrompt, reply: str) -> Effects:
    """Effects of the chosen sentences, and of the ``MOST_LEFT_OUT`` likeliest of the others."""
    personalized, question = prepared.personalized, prepared.question
    price = float(personalizer.release.params["train"]["token_price"])
    order = _order_left_out(personalized, personalizer.choice_probabilities(prepared))
    free = {s.key: s for s in personalized.segments if not s.pinned}
    chosen = [free[key] for key in personalized.kept]
    tried = [free[key] for key in order[:MOST_LEFT_OUT]]
    sets = [chosen, list(free.values()), []]
    sets += [[other for other in chosen if other is not s] for s in chosen]
    sets += [[*chosen, s] for s in tried]
    with _one_at_a_time:
        scorer = _load_scorer(personalizer.settings.embedded_llm)
        trials = [_make_trial(personalized, segments, question, reply) for segments in sets]
        values = [v.all for v in score_trials(scorer, trials)]
    refined, initial, nothing, *single = values
    without, with_ = single[: len(chosen)], single[len(chosen) :]
    return Effects(
        scorer=scorer.id,
        price=price,
        kept=[_make_effect(s, refined - v, price) for s, v in zip(chosen, without, strict=True)],
        left_out=[_make_effect(s, v - refined, price) for s, v in zip(tried, with_, strict=True)],
        refined=round(refined, 4),
        initial=round(initial, 4),
        pinned_only=round(nothing, 4),
        unmeasured=len(order) - len(tried),
    )


def _order_left_out(personalized: Personalized, weights: ChoiceProbabilities | None) -> list[str]:
    """Keys of the sentences left out, the policy's favourites first."""
    order = list(personalized.dropped)
    if weights is not None:
        order.sort(key=lambda key: -(weights.of_segment(key, personalized.program.picks) or 0.0))
    return order


def _make_trial(personalized: Personalized, segments: Sequence[Segment], question: str, reply: str) -> Trial:
    pinned = [s for s in personalized.segments if s.pinned]
    prompt = render_prompt((*pinned, *segments), personalized.style, personalized.language)
    return Trial(prompt, question, (reply,), (True,), render_opening(personalized.segments, personalized.language))


def _make_effect(segment: Segment, gain: float, price: float) -> Effect:
    return Effect(key=segment.key, gain=round(gain, 4), net=round(gain + length_term(segment.tokens, price), 4))
