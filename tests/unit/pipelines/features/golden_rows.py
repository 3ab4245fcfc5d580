"""Make peer and trajectory rows of fixed inputs, stored in ``golden/`` with their revision.

Run: python -m tests.unit.pipelines.features.golden_rows    (after raising a revision; rows of an equal one stay)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import torch

from feature_repo.point_in_time import KEY
from models.patient.forecaster import Forecaster
from models.patient.trajectory import TrajectoryConfig, TrajectoryModel, Vocabulary
from models.peers import ann_index
from models.peers.patient_embedding import COUNT_SCALES, FEATURES, SIGNAL_SCALES
from models.vocabulary import BIRTH_CODE
from pipelines.features.engines import peer_rows
from pipelines.features.engines.peer_rows import PEERS_REVISION
from pipelines.features.trajectory import inference
from pipelines.features.trajectory.rows import TRAJECTORY_REVISION

FOLDER = Path(__file__).with_name("golden")
REVISIONS = {"peers": PEERS_REVISION, "trajectory": TRAJECTORY_REVISION}
END = datetime(2026, 6, 1, 23, 59, 59, tzinfo=UTC)
PATIENTS, ASKED, K = 90, 8, 10
MEDICINES = ["ferrous sulfate 325 MG", "ibuprofen 200 MG", "aspirin 81 MG", "prenatal vitamin"]
#: Anaemia, gestational diabetes, hypertension, pre-eclampsia, depression, asthma, and one that is no concept.
CONDITIONS = [
    "SNOMED//271737000", "SNOMED//11687002", "SNOMED//59621000", "SNOMED//398254007", "SNOMED//370143000",
    "SNOMED//195967001", "SNOMED//1",
]  # fmt: skip
#: Weight, systolic blood pressure, haemoglobin, and one that no scale reads.
SIGNALS = ["LOINC//29463-7", "LOINC//8480-6", "LOINC//718-7", "LOINC//1"]

Rows = list[dict[str, Any]]


def make_peers() -> Rows:
    """Make peer rows of some patients on two days; list the constants of the index."""
    random = Random(20260601)
    states = pl.DataFrame(
        [_state(random, subject, days) for subject in range(1, PATIENTS + 1) for days in (400, 90, 0)],
        schema=_peer_schema(),
    )
    moments = [END - timedelta(days=30), END]
    asked = pl.DataFrame(
        {KEY[0]: list(range(1, ASKED + 1)) * 2, KEY[1]: [m for m in moments for _ in range(ASKED)]},
        schema={KEY[0]: pl.Int64, KEY[1]: pl.Datetime("us", "UTC")},
    )
    costs = [ann_index.EXACT_US, ann_index.SEARCH_US, ann_index.BUILD_US]
    graph = [ann_index.CONNECTIVITY, ann_index.EXPANSION_ADD, ann_index.EXPANSION_SEARCH]
    index = {"costs": costs, "graph": graph, "stripe": ann_index.STRIPE, "oversample": ann_index.OVERSAMPLE}
    return [*_listed(peer_rows.search_states(peer_rows.build_states(states.lazy()), asked, K)), index]


def make_trajectory() -> Rows:
    """Make trajectory rows by a model with fixed weights, independent of any training."""
    random = Random(20260602)
    versions, born = [], int((END - timedelta(days=10_000)).timestamp())
    kinds = ["encounter", "condition", "observation", "question", "medicine"]
    for subject in range(1, 5):
        if subject < 4:  # the last patient's birth is unknown
            versions.append(_version(subject, "patient", BIRTH_CODE, born + subject * 86_400, "birth"))
        for number in range(14):
            kind = kinds[number % len(kinds)]
            code = random.choice(SIGNALS) if kind == "observation" else f"SNOMED//{number % 3}"
            second = int(END.timestamp()) - random.randrange(200) * 86_400
            value = random.uniform(50, 110) if kind == "observation" else None
            versions.append(_version(subject, kind, code, second, f"{subject}-{number}", value))
    found = pl.DataFrame(versions, infer_schema_length=None).sort("subject_id", "second", "code", "source")
    moments = pl.DataFrame(
        {KEY[0]: [s for s in range(1, 5) for _ in range(3)], KEY[1]: [END - timedelta(days=d) for d in (90, 30, 0)] * 4}
    ).sort(*KEY)
    codes = [
        "condition|SNOMED//1",
        "encounter|SNOMED//0",
        "medicine|SNOMED//1",
        "observation|weight:usual",
        "question|00",
    ]
    return _listed(inference.predict_rows(_forecaster(codes), found, moments, Lengths()))


class Lengths:
    """An encoder of two numbers, so that no language model decides golden rows."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[len(text) % 2, 1.0] for text in texts], dtype=np.float32).reshape(len(texts), 2)


def _state(random: Random, subject: int, days: int) -> dict[str, Any]:
    """Make a patient's state so many days before the end, a fifth of it unknown."""
    moment = END - timedelta(days=days)

    def maybe(value: Any) -> Any:
        return None if random.random() < 0.2 else value

    def ago(most: int) -> datetime:
        return moment - timedelta(days=random.randrange(most))

    row: dict[str, Any] = {KEY[0]: subject, KEY[1]: moment}
    for name, (centre, scale) in SIGNAL_SCALES.items():
        row |= {f"{name}_latest": maybe(random.gauss(centre, scale)), f"{name}_time": maybe(ago(900))}
    for name in COUNT_SCALES:
        row[name] = [ago(700) for _ in range(random.randrange(5))] if name.endswith("_times") else random.randrange(4)
    since, pregnant = ago(308), random.random() < 0.6
    return row | {
        "weight_slope": maybe(random.gauss(0.3, 0.3)),
        "medicine_texts": random.sample(MEDICINES, 2),
        "medicine_times": (ordered := [ago(700), ago(700)]),
        "medicine_ends": [time + timedelta(days=random.choice((0, 0, 30, 400))) for time in ordered],
        "condition_codes": random.sample(CONDITIONS, 2),
        "condition_texts": ["", ""],
        "condition_times": [ago(700), ago(700)],
        "smoking": random.choice(["Current every day smoker", "Never smoker", None]),
        "birth": maybe(END - timedelta(days=365 * 24 + 40 * (subject % 30))),
        "died": moment if random.random() < 0.02 else None,
        "edd": maybe(since + timedelta(days=280)) if pregnant else None,
        "lmp": maybe(since) if pregnant else None,
        "pregnancy_since": maybe(since) if pregnant else None,
        "pregnancy_ended": maybe(ago(500)),
        "rating_brief_mean": maybe(float(random.randint(1, 5))),
        "rating_detailed_mean": maybe(float(random.randint(1, 5))),
    }


def _peer_schema() -> dict[str, Any]:
    time = pl.Datetime("us", "UTC")
    kinds: dict[str, Any] = dict.fromkeys(FEATURES, pl.Float64)
    kinds |= {name: time for name in FEATURES if name.endswith("_time")}
    kinds |= dict.fromkeys(("birth", "died", "edd", "lmp", "pregnancy_since", "pregnancy_ended"), time)
    kinds |= {name: pl.List(time) if name.endswith("_times") else pl.Int64 for name in COUNT_SCALES}
    kinds |= dict.fromkeys(("medicine_times", "medicine_ends", "condition_times"), pl.List(time))
    kinds |= dict.fromkeys(("medicine_texts", "condition_codes", "condition_texts"), pl.List(pl.String))
    kinds |= {"smoking": pl.String}
    return {KEY[0]: pl.Int64, KEY[1]: time} | kinds


def _version(
    subject: int, kind: str, code: str, second: int, source: str, value: float | None = None
) -> dict[str, Any]:
    text = "Is this " + "so " * (second % 3) + "?" if kind == "question" else None
    return {
        KEY[0]: subject, "kind": kind, "code": code, "numeric_value": value, "text_value": text, "source": source,
        "second": second, "since": second, "until": int(datetime(9999, 1, 1, tzinfo=UTC).timestamp()),
    }  # fmt: skip


def _forecaster(codes: Sequence[str]) -> Forecaster:
    rates = [0.2 + 0.1 * i for i in range(len(codes))]
    model = TrajectoryModel(TrajectoryConfig(codes=len(codes)))
    model.start_from(rates)
    with torch.no_grad():
        for place, (_, weights) in enumerate(sorted(model.named_parameters())):
            waves = torch.sin(0.37 * torch.arange(weights.numel(), dtype=torch.float64) + place)
            weights.copy_((0.2 * waves).reshape(weights.shape))
    centres = np.array([[0.0, 1.0], [1.0, 1.0]], dtype=np.float32)
    knots = np.array([0.0, 1.0])
    return Forecaster(
        version="golden", model=model.double().eval(), known=Vocabulary(tuple(codes), tuple(rates)),
        rates=np.array(rates) / 2, raw_knots=knots, calibrated_knots=knots, trusted=frozenset(codes), centres=centres,
    )  # fmt: skip


def _listed(table: pa.Table) -> Rows:
    """List rows as JSON has them: times as text, list elements to six digits."""
    rows = json.loads(json.dumps(table.to_pylist(), default=str))
    return [
        {name: [round(x, 6) if isinstance(x, float) else x for x in v] if isinstance(v, list) else v
         for name, v in row.items()}
        for row in rows
    ]  # fmt: skip


MAKERS = {"peers": make_peers, "trajectory": make_trajectory}


def read(group: str) -> tuple[str, Rows]:
    """Read the stored revision and rows of a group."""
    golden = json.loads((FOLDER / f"{group}.json").read_text())
    return golden["revision"], golden["rows"]


def main() -> None:
    """Store the rows of every group whose revision has changed."""
    for group, make in MAKERS.items():
        path, rows = FOLDER / f"{group}.json", json.loads(json.dumps(make()))
        if path.exists() and read(group)[0] == REVISIONS[group]:
            continue
        lines = ",\n".join(json.dumps(row) for row in rows)
        path.write_text(f'{{"revision": "{REVISIONS[group]}", "rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
