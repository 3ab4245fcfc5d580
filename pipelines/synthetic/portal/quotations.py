"""Quote what became of like women in a counselling reply, where their risk is raised.

Ground: shared decisions need absolute risks of women like her (NICE NG197, NICE NG3, NICE NG133). The sentence rests on
the aggregate of her peers and on nothing of her own record.
"""

from __future__ import annotations

import random

from pipelines.synthetic.portal.replies import ReplySentence
from pipelines.synthetic.portal.rules import Topic
from pipelines.synthetic.records.likeness import Likeness
from pipelines.synthetic.records.options import ClinicOptions

#: Share of like women from which on an outcome is worth a sentence.
RAISED = 0.3
_STEP = 0.05
_TEXTS: dict[str, tuple[str, ...]] = {
    "gestational_diabetes": (
        "Of women like you here, about {share} in 100 get diabetes in pregnancy.",
        "In our clinic {share} of 100 similar patients had gestational diabetes.",
    ),
    "hypertension": (
        "Of women like you here, about {share} in 100 get high blood pressure.",
        "In our clinic {share} of 100 similar patients had high blood pressure.",
    ),
}


def quote_outcome(topic: Topic, likeness: Likeness, options: ClinicOptions, rng: random.Random) -> ReplySentence | None:
    """Quote the topic's outcome among like women; None where none is due."""
    if topic.quotes is None or topic.mechanism not in options.mechanisms:
        return None
    text = rng.choice(_TEXTS[topic.quotes])
    share = likeness.risks[topic.quotes]
    if share < RAISED:
        return None
    in_hundred = round(round(share / _STEP) * _STEP * 100)
    return ReplySentence(text.format(share=in_hundred), (f"peer.{topic.quotes}",))
