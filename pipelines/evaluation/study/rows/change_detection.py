"""Row 3: online change detection on generated signals with known change points.

Ours asks at every new value whether a new level began (``models.patient.changes.shifts``). The baseline is the
squared-error cost of ``ruptures`` on each prefix: the gain of the best single split, which is the penalty below which
PELT finds one change point. ``pelt`` is scaled by the true noise, which ours does not know; ``pelt_own_noise`` by the
deviation of the first ``EARLIEST`` values. Every threshold is set on series without a change so that ``FALSE_ALARMS``
of these alarm; then recall (an alarm after the change, within ``HORIZON`` values) and delay (values from change to
alarm, over changes that both find) are compared on other series.

``change_alarms_*`` is the share of series with an alarm at the shipped threshold: without a change, in normal
pregnancies (drifts within ``models.patient.changes.gestational_changes``) judged by the own band alone and with the
weeks, and in pregnancies with a change of ``SHIFTS`` on top. Series are synthetic: they test the detector, not a
clinic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import ruptures

from models.patient.change_detection import OUTSIDE_Z
from models.patient.changes.gestational_changes import find_allowed_change, take_off_normal
from models.patient.changes.shifts import Shift, find_shift
from models.vocabulary import SIGNALS
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow

FALSE_ALARMS = 0.1
RECALL_MARGIN = 0.05  # below PELT, which knows the true noise
SERIES = 200
LENGTH, EARLIEST, HORIZON = 24, 8, 8
SHIFTS = (2.0, 3.0, 4.0)  # of the change, in standard deviations of the noise
NOISE = {"systolic": 6.0, "haemoglobin": 0.5, "weight": 0.9, "glucose": 9.0}
PREGNANCY_SIGNALS = ("weight", "haemoglobin", "systolic")
BEFORE = 4  # values before a pregnancy
VISITS = np.array([-16.0, -12, -8, -4, 8, 12, 16, 20, 24, 28, 30, 32, 34, 36, 37, 38, 39, 40])  # weeks of the visits
WEEKS = tuple(float(week) if week >= 0 else None for week in VISITS)
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
    recalls: dict[str, list[float]] = {name: [] for name in DETECTORS}
    delays: dict[str, list[float]] = {"shift": [], "pelt": []}
    for seed in range(seeds):
        calm = generate_series(SERIES, False, 2 * seed)
        changing = generate_series(SERIES, True, 2 * seed + 1)
        found = {}
        for name, statistic in DETECTORS.items():
            limit = float(np.quantile([statistic(s)[EARLIEST:].max() for s in calm], 1 - FALSE_ALARMS))
            found[name] = [find_first_alarm(s, statistic(s), limit) for s in changing]
            recalls[name] += [float(delay is not None) for delay in found[name]]
        both = [(a, b) for a, b in zip(found["shift"], found["pelt"], strict=True) if a is not None and b is not None]
        delays["shift"] += [float(a) for a, _ in both]
        delays["pelt"] += [float(b) for _, b in both]
    return [*_compare_detectors(recalls, delays, seeds), *_count_alarms(seeds)]


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


def score_shift(series: SignalSeries) -> np.ndarray:
    """|score| of a new level at each value, [LENGTH]; 0 for the first."""
    found = [find_shift(series.values[: i + 1].tolist(), series.step) for i in range(LENGTH)]
    return np.array([abs(shift.score) if shift else 0.0 for shift in found])


def score_pelt(series: SignalSeries) -> np.ndarray:
    """Largest penalty per prefix at which PELT finds a change point, [LENGTH]."""
    return _score_splits(series.values / series.noise)


def score_pelt_own_noise(series: SignalSeries) -> np.ndarray:
    """The same in units of the deviation of the first values, as a clinic would know it."""
    return _score_splits(series.values / series.values[:EARLIEST].std(ddof=1))


def _score_splits(scaled: np.ndarray) -> np.ndarray:
    out = np.zeros(LENGTH)
    for i in range(EARLIEST, LENGTH):
        prefix = scaled[: i + 1]
        # one change point is found below the largest gain in squared error of any split: PELT's own criterion
        whole = ruptures.costs.CostL2().fit(prefix[:, None])
        total = whole.error(0, len(prefix))
        splits = range(2, len(prefix) - 1)
        out[i] = max(total - whole.error(0, s) - whole.error(s, len(prefix)) for s in splits)
    return out


DETECTORS: dict[str, Statistic] = {"shift": score_shift, "pelt": score_pelt, "pelt_own_noise": score_pelt_own_noise}


def find_first_alarm(series: SignalSeries, statistic: np.ndarray, limit: float) -> int | None:
    """Count the values from the change to the first alarm; None for none within ``HORIZON``."""
    alarms = np.flatnonzero(statistic[series.change : series.change + HORIZON] > limit)
    return int(alarms[0]) if len(alarms) else None


def _compare_detectors(recalls: dict[str, list[float]], delays: dict[str, list[float]], seeds: int) -> list[MetricRow]:
    def mean(name: str, values: Sequence[float]) -> MetricRow:
        return MetricRow.of(3, name, "generated", bootstrap_mean(list(values), range(len(values))), seeds=seeds)

    def difference(name: str, ours: list[float], theirs: list[float], shorter: bool) -> MetricRow:
        e = bootstrap_difference(ours, theirs, range(len(ours)))
        target = 0.0 if shorter else -RECALL_MARGIN
        holds = e.ci_high < target if shorter else e.value >= target
        return MetricRow.of(3, name, "generated", e, target=target, holds=holds, seeds=seeds)

    return [
        *(mean(f"change_recall_{name}", values) for name, values in recalls.items()),
        *(mean(f"change_delay_{name}", values) for name, values in delays.items()),
        difference("change_recall_vs_pelt", recalls["shift"], recalls["pelt"], shorter=False),
        difference("change_recall_vs_pelt_own_noise", recalls["shift"], recalls["pelt_own_noise"], shorter=False),
        difference("change_delay_vs_pelt", delays["shift"], delays["pelt"], shorter=True),
    ]


def _count_alarms(seeds: int) -> list[MetricRow]:
    """Count the series that alarm at the shipped threshold."""
    alarms: dict[str, list[float]] = {}
    for seed in range(seeds):
        for series in generate_series(SERIES, False, 2 * seed):
            alarms.setdefault("no_change", []).append(float(score_shift(series)[EARLIEST:].max() > OUTSIDE_Z))
        for name, changes in (("pregnancy", False), ("pregnancy_with_change", True)):
            for signal, values in generate_pregnancies(SERIES, changes, 2 * seed + 1):
                for weeks_known in (False, True):
                    key = f"{name}_{'with_weeks' if weeks_known else 'own_band'}"
                    alarms.setdefault(key, []).append(float(_alarms_in_pregnancy(signal, values, weeks_known)))
    return [
        MetricRow.of(3, f"change_alarms_{name}", "generated", bootstrap_mean(values, range(len(values))), seeds=seeds)
        for name, values in alarms.items()
    ]


def generate_pregnancies(count: int, changes: bool, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Generate signals before and at visits of a normal pregnancy; a change is a step against the normal drift."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        name = str(random.choice(PREGNANCY_SIGNALS))
        noise, share = NOISE[name] * float(random.uniform(0.7, 1.4)), float(random.uniform())
        allowed = np.array([find_allowed_change(name, None, week) for week in WEEKS])
        drift = allowed[:, 0] * share + allowed[:, 1] * (1 - share)
        values = drift + random.normal(0, noise, len(WEEKS))
        if changes:
            begun = int(random.integers(BEFORE + 2, len(WEEKS) - 2))
            values[begun:] += float(random.choice(SHIFTS)) * noise * float(random.choice([-1, 1]))
        yield name, values


def _alarms_in_pregnancy(signal: str, values: np.ndarray, weeks_known: bool) -> bool:
    """Whether any value of the pregnancy begins or continues an unusual level."""
    step = next(s.step for s in SIGNALS if s.name == signal)
    for i in range(BEFORE, len(values)):
        shift = find_shift(values[: i + 1].tolist(), step)
        if shift is not None and abs(shift.score) > OUTSIDE_Z:
            score = _discount(signal, shift, i + 1) if weeks_known else shift.score
            if abs(score) > OUTSIDE_Z:
                return True
    return False


def _discount(signal: str, shift: Shift, count: int) -> float:
    """The score without what is normal between the mean weeks before and on the new level."""
    before = float(np.mean(VISITS[: count - shift.values]))
    after = float(np.mean(VISITS[[count - shift.values, count - 1]]))
    ages = (week if week >= 0 else None for week in (before, after))
    return shift.score * take_off_normal(signal, shift.size, *ages) / shift.size
