"""Draw a synthetic patient's latent traits, once.

All that the sample clinic adds to a record (signals, problems, questions, ratings) follows from these, so a patient is
consistent over all dates. Traits are never written to the record.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from pipelines.synthetic.records import problems

Style = Literal["brief", "detailed"]
Stage = Literal["pregnant", "postpartum", "earlier", "none"]

#: How the pregnancies that we add are spread over patients, in order of their index: of every eight patients three
#: are pregnant at the first drop, two are postpartum, one gave birth 8–14 months before, two have none added.
STAGES: tuple[Stage, ...] = ("pregnant", "postpartum", "none", "pregnant", "earlier", "pregnant", "none", "postpartum")


@dataclass(frozen=True, slots=True)
class Traits:
    """One patient's latent traits.

    ``anaemic``: g/dL of haemoglobin lost beyond the usual in pregnancy. ``hypertensive``: mm[Hg] that the systolic
    pressure rises in late pregnancy. ``sugar``: mg/dL that glucose rises after 24 weeks. ``gain``: weight gain in
    pregnancy relative to the usual. ``swells``: gains 3–4 kg within two weeks late in pregnancy. ``heavy_periods``:
    g/dL of haemoglobin lost outside pregnancy. ``mood``: usual PHQ-9. ``pain``: usual pain score. ``misses``: share of
    planned visits missed. ``questions``: portal questions per year. ``style``: the replies rated higher. ``stage``:
    which pregnancy, if any, is added to Synthea's.
    """

    style: Style
    stage: Stage
    anaemic: float
    hypertensive: float
    sugar: float
    gain: float
    swells: bool
    heavy_periods: float
    mood: int
    pain: int
    misses: float
    questions: float
    smoking: Literal["never", "former", "current"]
    problems: frozenset[str]
    allergies: tuple[tuple[str, str], ...]


def draw_traits(seed: int, index: int) -> Traits:
    """Draw the traits of patient ``index`` of the clinic ``seed``."""
    rng = random.Random(f"traits/{seed}/{index}")
    names, allergies = problems.draw_problems(rng)
    chronic = "hypertension" in names
    return Traits(
        style=rng.choice(("brief", "detailed")),
        stage=STAGES[index % len(STAGES)],
        anaemic=rng.choice((0.0, 0.0, 0.3, 1.4, 2.2)),
        hypertensive=rng.choice((0.0, 3.0, 5.0, 24.0, 34.0)) + (8.0 if chronic else 0.0),
        sugar=60.0 if "diabetes" in names else rng.choice((0.0, 4.0, 8.0, 44.0, 0.0)),
        gain=rng.choice((0.55, 0.9, 1.0, 1.1, 1.6)),
        swells=rng.random() < 0.3,
        heavy_periods=rng.choice((0.0, 0.0, 0.4, 1.9, 2.8)),
        mood=rng.choice((2, 3, 4, 9, 14)) + (3 if "depression" in names else 0),
        pain=rng.choice((1, 2, 3, 5, 7)),
        misses=rng.choice((0.0, 0.05, 0.1, 0.35)),
        questions=rng.uniform(7.0, 14.0),
        smoking=rng.choices(("never", "former", "current"), (6, 2, 2))[0],
        problems=names,
        allergies=allergies,
    )
