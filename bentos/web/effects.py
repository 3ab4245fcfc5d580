"""What each choice does to a reply: leave-one-out and add-one under the embedded scorer.

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

from bentos.web.page_types import Effect, Effects
from models.prompt.personalize import Personalized
from models.prompt.ranking import opening, render
from models.reward.embedded_scorer import EmbeddedScorer
from models.reward.terms import Trial, length, score
from models.schema import Segment

#: Left-out sentences that are tried, the policy's favourites first: each costs one forward pass.
MOST_LEFT_OUT = 8

_one_at_a_time = threading.Lock()


@lru_cache(maxsize=1)
def _scorer(folder: Path) -> EmbeddedScorer:
    """Loaded on the first question (540 MB), then kept."""
    return EmbeddedScorer(folder)


def effects(folder: Path, made: Personalized, question: str, reply: str, order: Sequence[str], price: float) -> Effects:
    """Effects of the kept sentences and of the first ``MOST_LEFT_OUT`` keys of ``order``, the left-out ones."""
    free = {s.key: s for s in made.segments if not s.pinned}
    kept = [free[key] for key in made.kept]
    tried = [free[key] for key in order[:MOST_LEFT_OUT]]
    sets = [kept, list(free.values()), []]
    sets += [[other for other in kept if other is not s] for s in kept]
    sets += [[*kept, s] for s in tried]
    with _one_at_a_time:
        scorer = _scorer(folder)
        values = [v.all for v in score(scorer, [_trial(made, chosen, question, reply) for chosen in sets])]
    refined, initial, nothing, *single = values
    without, with_ = single[: len(kept)], single[len(kept) :]
    return Effects(
        scorer=scorer.id,
        price=price,
        kept=[_effect(s, refined - v, price) for s, v in zip(kept, without, strict=True)],
        left_out=[_effect(s, v - refined, price) for s, v in zip(tried, with_, strict=True)],
        refined=round(refined, 4),
        initial=round(initial, 4),
        pinned_only=round(nothing, 4),
        unmeasured=len(order) - len(tried),
    )


def _trial(made: Personalized, chosen: Sequence[Segment], question: str, reply: str) -> Trial:
    pinned = [s for s in made.segments if s.pinned]
    prompt = render((*pinned, *chosen), made.style, made.language)
    return Trial(prompt, question, (reply,), (True,), opening(made.segments, made.language))


def _effect(segment: Segment, gain: float, price: float) -> Effect:
    return Effect(key=segment.key, gain=round(gain, 4), net=round(gain + length(segment.tokens, price), 4))
