"""Forecast a patient's next visit, embed their record, and measure surprise.

    e_t = h_d                                              rounded to 1/1000; d is the last day with records
    q_c = isotonic(p(c ∈ day d+1))                         calibrated on visits of patients left out of a first fit
    shown: c with q_c ≥ 0.3, q_c ≥ 1.5 · rate of c over all visits, |mean q_c − share that came| ≤ 0.1 where left out
    surprise = mean over the codes c of the last visit of −ln p(c)      nats

1. The paper's "interpretation" of a record is not specified. A forecast is shown only where forecasts of that code
   were right for patients left out, and only if it exceeds the clinic's usual rate; both rules are ours.
2. Records are read in double precision. Rounded, the forecast of a day is then the same whether later days were read
   in the same pass or not, so one pass over the whole record serves all its days.

A forecaster is stored as one folder named by the hash of its content: weights and topic centres in safetensors,
everything else in JSON.

Run: ``pmlm stage trajectory``; ``pmlm evaluate`` (row 2).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as parse_weights
from safetensors.torch import save as weights_as_bytes
from sklearn.isotonic import IsotonicRegression

from models.patient.trajectory import (
    MAX_DAYS,
    PatientDays,
    TrajectoryConfig,
    TrajectoryModel,
    Vocabulary,
    build_vocabulary,
    collate_records,
    predict_next_days,
    train_trajectory,
)

QUESTION_PREFIX = "question|"
MIN_PROBABILITY, MIN_LIFT, MAX_CALIBRATION_ERROR, MIN_EXAMPLES = 0.3, 1.5, 0.1, 10
MAX_FORECASTS = 5
DIMENSIONS = 64
WEIGHTS_FILE, METADATA_FILE = "model.safetensors", "forecaster.json"
_CENTRES = "topic_centres"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Forecaster:
    """A trained trajectory model with its calibration, trusted codes and question topics.

    ``rates`` are each code's share of visits, ``raw_knots`` and ``calibrated_knots`` the calibration curve, ``trusted``
    the codes whose forecasts were right for patients left out, ``centres`` [n, 384] the kinds of question or None.
    """

    version: str
    model: TrajectoryModel
    known: Vocabulary
    rates: Floats
    raw_knots: Floats
    calibrated_knots: Floats
    trusted: frozenset[str]
    centres: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class VisitForecast:
    """One record's forecast: ``codes`` with their ``chances`` and ``rates``; ``surprise`` in nats."""

    embedding: tuple[float, ...]
    codes: tuple[str, ...]
    chances: tuple[float, ...]
    rates: tuple[float, ...]
    surprise: float | None


def train_forecaster(
    records: Sequence[PatientDays], centres: NDArray[np.float32] | None, epochs: int, seed: int = 0
) -> Forecaster | None:
    """Train and calibrate a forecaster, deterministically; None if no code is common enough."""
    known = build_vocabulary(records)
    if not known.codes or not any(len(r.days) > 1 for r in records):
        return None
    left_out = sorted(records, key=lambda r: _shuffle_key(r.subject_id))[: len(records) // 4]
    rest = [r for r in records if r not in left_out]
    first = train_trajectory(rest, known, epochs=epochs, seed=seed)
    pairs = [pair for r in left_out for pair in _pair_visits(first, known, r)]
    raw_knots, calibrated_knots, trusted = _calibrate(known, pairs)
    hot = np.concatenate([known.multi_hot(r) for r in records])
    visits = hot[hot[:, _visit_mask(known)].any(1)]
    rates = visits.mean(0).astype(np.float64) if len(visits) else np.zeros(len(known.codes))
    model = train_trajectory(records, known, epochs=epochs, seed=seed)
    return _with_version(
        Forecaster("", model.double(), known, np.round(rates, 6), raw_knots, calibrated_knots, trusted, centres)
    )


def _shuffle_key(subject_id: int) -> bytes:
    """A hash to sort patients by, in an order unrelated to their data."""
    return hashlib.blake2b(f"calibrate\x1f{subject_id}".encode(), digest_size=8).digest()


def _visit_mask(known: Vocabulary) -> NDArray[np.bool_]:
    return np.array([not c.startswith(QUESTION_PREFIX) for c in known.codes], dtype=bool)


def _pair_visits(model: TrajectoryModel, known: Vocabulary, record: PatientDays) -> list[tuple[Floats, Floats]]:
    """Pair each visit but the first with its forecast as of the record's day before."""
    chances, hot = predict_next_days(model, known, record)[0], known.multi_hot(record)
    hot = hot[-len(chances) :]
    of_visits = _visit_mask(known)
    return [(chances[d - 1], hot[d]) for d in range(1, len(hot)) if hot[d][of_visits].any()]


def _calibrate(known: Vocabulary, pairs: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats, frozenset[str]]:
    """Fit the knots from probability to frequency, and find the codes with calibrated forecasts."""
    if len(pairs) < MIN_EXAMPLES:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0]), frozenset()
    of_visits = _visit_mask(known)
    forecast = np.stack([s for s, _ in pairs]).astype(np.float64)
    came = np.stack([c for _, c in pairs]).astype(np.float64)
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
        forecast[:, of_visits].ravel(), came[:, of_visits].ravel()
    )
    knots = np.round(curve.X_thresholds_, 6), np.round(curve.y_thresholds_, 6)
    calibrated = np.interp(forecast, *knots)
    trusted = set()
    for i, code in enumerate(known.codes):
        likely = calibrated[:, i] >= MIN_PROBABILITY
        if (
            of_visits[i]
            and likely.sum() >= MIN_EXAMPLES
            and abs(calibrated[likely, i].mean() - came[likely, i].mean()) <= MAX_CALIBRATION_ERROR
        ):
            trusted.add(code)
    return *knots, frozenset(trusted)


@dataclass(frozen=True, slots=True)
class ForecasterPass:
    """One pass over a record: forecasts [days, codes] and embeddings [days, 64] after each day."""

    record: PatientDays
    chances: Floats
    hidden: Floats


@torch.no_grad()
def run_forecaster(forecaster: Forecaster, record: PatientDays) -> ForecasterPass:
    """Run the model over the newest ``MAX_DAYS`` days of a record with at least one."""
    newest = PatientDays(record.subject_id, record.days[-MAX_DAYS:], record.codes[-MAX_DAYS:])
    batch = {name: tensor.double() for name, tensor in collate_records([newest], forecaster.known).items()}
    out = forecaster.model(**batch)
    return ForecasterPass(newest, out.logits[0].sigmoid().numpy(), out.hidden[0].numpy())


def forecast_states(forecaster: Forecaster, records: Sequence[PatientDays]) -> list[VisitForecast]:
    """Forecast every state of one patient's record, sharing passes between states.

    Most states are beginnings of the last; the result is the same as for each alone.
    """
    passes: list[ForecasterPass] = []
    out: list[VisitForecast] = []
    for record in reversed(records):
        found = next((p for p in passes if _is_prefix(p.record, record)), None)
        if found is None:
            found = run_forecaster(forecaster, record)
            passes.append(found)
            if len(record.days) > MAX_DAYS:  # its newest days alone: earlier states begin where the record does
                first = PatientDays(record.subject_id, record.days[:MAX_DAYS], record.codes[:MAX_DAYS])
                if not any(_is_prefix(p.record, first) for p in passes):
                    passes.append(run_forecaster(forecaster, first))
        out.append(_forecast_after(forecaster, found, min(MAX_DAYS, len(record.days))))
    return out[::-1]


def forecast_state(forecaster: Forecaster, record: PatientDays) -> VisitForecast:
    """Forecast the next visit of a record with at least one day."""
    return forecast_states(forecaster, [record])[0]


def _is_prefix(whole: PatientDays, record: PatientDays) -> bool:
    """Whether ``record`` is the beginning of ``whole``."""
    n = len(record.days)
    return whole.days[:n] == record.days and whole.codes[:n] == record.codes


def _forecast_after(forecaster: Forecaster, passed: ForecasterPass, n: int) -> VisitForecast:
    """Forecast after the first ``n`` days of a pass."""
    known, chances = forecaster.known, passed.chances[:n]
    calibrated = np.round(np.interp(chances[-1], forecaster.raw_knots, forecaster.calibrated_knots), 3)
    order = np.argsort(-calibrated, kind="stable")
    selected = [
        i
        for i in order
        if known.codes[i] in forecaster.trusted
        and calibrated[i] >= max(MIN_PROBABILITY, MIN_LIFT * forecaster.rates[i])
    ][:MAX_FORECASTS]
    return VisitForecast(
        embedding=tuple(round(float(x), 3) for x in passed.hidden[n - 1]),
        codes=tuple(known.codes[i] for i in selected),
        chances=tuple(float(calibrated[i]) for i in selected),
        rates=tuple(round(float(forecaster.rates[i]), 3) for i in selected),
        surprise=_surprise(known, chances, passed.record),
    )


def _surprise(known: Vocabulary, chances: Floats, record: PatientDays) -> float | None:
    """Mean −ln p of the last visit's codes, as forecast before it; None without one before."""
    place = {c: i for i, c in enumerate(known.codes) if not c.startswith(QUESTION_PREFIX)}
    for d in range(len(chances) - 1, 0, -1):
        came = sorted(place[c] for c in record.codes[d] if c in place)
        if came:
            return round(float(-np.log(np.clip(chances[d - 1][came], 1e-6, 1)).mean()), 3)
    return None


def _with_version(forecaster: Forecaster) -> Forecaster:
    """Set the version to the hash of the content."""
    digest = hashlib.sha256()
    for name, data in sorted(_serialize(forecaster).items()):
        digest.update(name.encode() + b"\0" + data)
    named: dict[str, object] = {name: getattr(forecaster, name) for name in Forecaster.__slots__}
    return Forecaster(**named | {"version": digest.hexdigest()[:16]})  # type: ignore[arg-type]


def _serialize(forecaster: Forecaster) -> dict[str, bytes]:
    tensors = {name: value.float().contiguous() for name, value in forecaster.model.state_dict().items()}
    if forecaster.centres is not None:
        tensors[_CENTRES] = torch.from_numpy(np.ascontiguousarray(forecaster.centres))
    rest = {  # persisted keys: "said" and "meant" are the calibration's knots
        "codes": forecaster.known.codes,
        "day_rates": forecaster.known.rates,
        "rates": forecaster.rates.tolist(),
        "said": forecaster.raw_knots.tolist(),
        "meant": forecaster.calibrated_knots.tolist(),
        "trusted": sorted(forecaster.trusted),
    }
    return {WEIGHTS_FILE: weights_as_bytes(tensors), METADATA_FILE: (json.dumps(rest, indent=1) + "\n").encode()}


def save_forecaster(folder: Path, forecaster: Forecaster) -> None:
    """Write the forecaster into an existing ``folder``."""
    for name, data in _serialize(forecaster).items():
        (folder / name).write_bytes(data)


def load_forecaster(folder: Path) -> Forecaster:
    """Load the forecaster in ``folder``; ValueError where its content does not match its name."""
    rest = json.loads((folder / METADATA_FILE).read_text())
    tensors = parse_weights((folder / WEIGHTS_FILE).read_bytes())
    centres = tensors.pop(_CENTRES, None)
    known = Vocabulary(tuple(rest["codes"]), tuple(rest["day_rates"]))
    model = TrajectoryModel(TrajectoryConfig(codes=len(known.codes)))
    model.start_from(known.rates)
    model.load_state_dict(tensors)
    rates, raw, calibrated = (np.array(rest[name], dtype=np.float64) for name in ("rates", "said", "meant"))
    of = None if centres is None else centres.numpy()
    trusted = frozenset(rest["trusted"])
    found = _with_version(Forecaster("", model.eval().double(), known, rates, raw, calibrated, trusted, of))
    if found.version != folder.name:
        raise ValueError(f"trajectory model {folder.name} is damaged: its content is {found.version}")
    return found
