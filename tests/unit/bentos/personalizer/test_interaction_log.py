"""The interaction log: one whole line an interaction, readable by its owner alone."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bentos.personalizer.interaction_log import Interaction, InteractionLog
from pmlm.api_types import Program, Versions

VERSIONS = Versions(
    release="r",
    bento="b",
    refiner="f",
    template="v1",
    feature_service="s",
    feature_schema="h",
    encoder="e",
    as_of="2026-06-01T23:59:59+00:00",
)


def interaction(number: int) -> Interaction:
    return Interaction(
        id=f"{number:032x}",
        endpoint="answer",
        patient=1,
        question=2,
        language="en",
        candidates=9,
        kept=["safety", "age"],
        program=Program(picks=["age"], style="plain", log_prob=-0.5),
        signs=[],
        personalization="full",
        versions=VERSIONS,
        seconds={"features": 0.001},
    )


def test_lines_written_at_the_same_time_stay_whole(tmp_path: Path) -> None:
    log = InteractionLog(tmp_path / "interactions")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(log.append, map(interaction, range(200))))
    (file,) = (tmp_path / "interactions").iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["id"] for line in lines} == {f"{n:032x}" for n in range(200)}


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    InteractionLog(tmp_path / "interactions").append(interaction(1))
    folder = tmp_path / "interactions"
    (file,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
