"""Row 3: online change detection on generated signals with known change points.

Ours asks at every new value whether it left the patient's own band (``models.patient.change_detection``). The baseline
is the squared-error cost of ``ruptures`` (scaled by the true noise, which ours does not know) on each prefix: the gain
of the best single split, which is the penalty below which PELT finds one change point. Both thresholds are set on
series without a change so that ``FALSE_ALARMS`` of these alarm; then recall (an alarm after the change, within
``HORIZON`` values) and delay (values from change to alarm, over changes that both find) are compared on other series.
Series are synthetic: they test the detector, not a clinic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import ruptures

from models.patient.change_detection import compute_own_band_z
from models.vocabulary import SIGNALS
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow

FALSE_ALARMS = 0.1
SERIES = 200
LENGTH, EARLIEST, HORIZON = 24, 8, 8
SHIFTS = (2.0, 3.0, 4.0)  # of the change, in standard deviations of the noise
NOISE = {"systolic": 6.0, "haemoglobin": 0.5, "weight": 0.9, "glucose": 9.0}
Statistic = Callable[["SignalSeries"], np.ndarray]


@dataclass(frozen=True, slots=True)
class SignalSeries:
    """One generated signal: values, noise (standard deviation), smallest notable step.

    ``change`` is the index of the first changed value, ``LENGTH`` where it never changes.
    """

    values: np.ndarray
    noise: float
    step: float
    change: int


def build_rows(seeds: int) -> list[MetricRow]:
    """Build row 3's rows over ``SERIES`` changing series per seed."""
    recalls: dict[str, list[float]] = {"band": [], "pelt": []}
    delays: dict[str, list[float]] = {"band": [], "pelt": []}
    for seed in range(seeds):
        calm = generate_series(SERIES, False, 2 * seed)
        changing = generate_series(SERIES, True, 2 * seed + 1)
        found = {}
        for name, statistic in (("band", score_band), ("pelt", score_pelt)):
            limit = float(np.quantile([statistic(s)[EARLIEST:].max() for s in calm], 1 - FALSE_ALARMS))
            found[name] = [find_first_alarm(s, statistic(s), limit) for s in changing]
            recalls[name] += [float(delay is not None) for delay in found[name]]
        both = [(a, b) for a, b in zip(found["band"], found["pelt"], strict=True) if a is not None and b is not None]
        delays["band"] += [float(a) for a, _ in both]
        delays["pelt"] += [float(b) for _, b in both]
    return _compare_detectors(recalls, delays, seeds)


def generate_series(count: int, changes: bool, seed: int) -> list[SignalSeries]:
    """Generate ``count`` series; a change is a step of ``SHIFTS`` standard deviations."""
    random = np.random.default_rng(seed)
    steps = {s.name: s.step for s in SIGNALS}
    out = []
    for _ in range(count):
        name = str(random.choice(list(NOISE)))
        noise = NOISE[name] * float(random.uniform(0.7, 1.4))
        change = int(random.integers(EARLIEST, LENGTH - HORIZON)) if changes else LENGTH
        shift = float(random.choice(SHIFTS)) * noise * float(random.choice([-1, 1]))
        values = random.normal(0, noise, LENGTH) + np.where(np.arange(LENGTH) >= change, shift, 0.0)
        out.append(SignalSeries(values, noise, steps[name], change))
    return out


def score_band(series: SignalSeries) -> np.ndarray:
    """|z| of each value against the values before it, [LENGTH]; 0 for the first two."""
    out = np.zeros(LENGTH)
    for i in range(2, LENGTH):
        past = series.values[:i]
        out[i] = abs(compute_own_band_z(series.values[i], past.mean(), past.std(ddof=1), series.step))
    return out


def score_pelt(series: SignalSeries) -> np.ndarray:
    """Largest penalty per prefix at which PELT finds a change point, [LENGTH]."""
    out = np.zeros(LENGTH)
    scaled = series.values / series.noise
    for i in range(EARLIEST, LENGTH):
        prefix = scaled[: i + 1]
        # one change point is found below the largest gain in squared error of any split: PELT's own criterion
        whole = ruptures.costs.CostL2().fit(prefix[:, None])
        total = whole.error(0, len(prefix))
        splits = range(2, len(prefix) - 1)
        out[i] = max(total - whole.error(0, s) - whole.error(s, len(prefix)) for s in splits)
    return out


def find_first_alarm(series: SignalSeries, statistic: np.ndarray, limit: float) -> int | None:
    """Count the values from the change to the first alarm; None for none within ``HORIZON``."""
    alarms = np.flatnonzero(statistic[series.change : series.change + HORIZON] > limit)
    return int(alarms[0]) if len(alarms) else None


def _compare_detectors(recalls: dict[str, list[float]], delays: dict[str, list[float]], seeds: int) -> list[MetricRow]:
    def mean(name: str, values: Sequence[float]) -> MetricRow:
        return MetricRow.of(3, name, "generated", bootstrap_mean(list(values), range(len(values))), seeds=seeds)

    def difference(name: str, ours: list[float], theirs: list[float], shorter: bool) -> MetricRow:
        e = bootstrap_difference(ours, theirs, range(len(ours)))
        holds = e.ci_high < 0 if shorter else e.value >= 0
        return MetricRow.of(3, name, "generated", e, target=0.0, holds=holds, seeds=seeds)

    return [
        *(mean(f"change_recall_{name}", values) for name, values in recalls.items()),
        *(mean(f"change_delay_{name}", values) for name, values in delays.items()),
        difference("change_recall_band_vs_pelt", recalls["band"], recalls["pelt"], shorter=False),
        difference("change_delay_band_vs_pelt", delays["band"], delays["pelt"], shorter=True),
    ]
