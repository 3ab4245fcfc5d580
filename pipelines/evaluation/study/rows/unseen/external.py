"""Row 9 on external episodes: questions, record sentences and replies edited by experts.

One JSON object per line: ``{"episode", "patient", "question", "segments": [{"key", "kind", "text"}], "reference"}``;
more fields are ignored. The refiner sees each segment as a plain entry of a record, and was never trained on any.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from models.refiner.interface import Refiner
from models.replies.sentences import split_sentences
from models.schema import Episode, Segment
from models.templates import render_sentence, sanitize_line
from pipelines.embedding_cache import CachedEncoder
from pipelines.evaluation.nightly.intervals import bootstrap_difference, bootstrap_mean
from pipelines.evaluation.nightly.metrics import MetricRow
from pipelines.evaluation.nightly.rollout import run_rollouts
from pipelines.evaluation.study.comparison.candidates import REFINED
from pipelines.training.rewards import Rewards
from pmlm.errors import TrainingError

SPLIT = "external"
AIMS = ("minilm", "random", "length_matched")
COMPARED = (
    "minilm",
    "random",
    "none",
    "ranking",
    "warm_start",
    "length_matched",
    "initial",
)


class ExternalSegment(BaseModel):
    key: str = Field(min_length=1)
    kind: str = "record"
    text: str = Field(min_length=1)


class ExternalEpisode(BaseModel):
    """One line of the file."""

    episode: str
    patient: str
    question: str = Field(min_length=1)
    segments: list[ExternalSegment]
    reference: str = Field(min_length=1)


def read_episodes(path: Path, count: Callable[[str], int]) -> list[Episode]:
    """Read the file's episodes; :class:`TrainingError` names line and field of the first bad one."""
    if not path.exists():
        raise TrainingError(f"there is no file {path}")
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(_to_episode(ExternalEpisode.model_validate(json.loads(line)), count))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise TrainingError(f"{path.name}, line {number}: {field}: {first['msg']}") from None
        except ValueError:
            raise TrainingError(f"{path.name}, line {number}: not a JSON object") from None
    return found


def _to_episode(given: ExternalEpisode, count: Callable[[str], int]) -> Episode:
    safety = Segment(
        "safety", "pinned", render_sentence("safety", "en"), pinned=True, tokens=count(render_sentence("safety", "en"))
    )
    texts = {s.key: sanitize_line(s.text) for s in given.segments}
    free = tuple(Segment(key, "record", text, tokens=count(text)) for key, text in texts.items() if text)
    reply = split_sentences(given.reference)
    return Episode(
        episode_id=given.episode,
        subject_id=int.from_bytes(hashlib.blake2b(given.patient.encode(), digest_size=6).digest(), "big"),
        as_of=datetime(2000, 1, 1, tzinfo=UTC),
        question=given.question,
        segments=(safety, *free),
        reply=reply,
        specific=(True,) * len(reply),
        split=SPLIT,
    )


def build_rows(
    path: Path,
    candidates: Mapping[str, Refiner],
    reward: Rewards,
    encode: CachedEncoder,
    count: Callable[[str], int],
    most: int | None = None,
) -> list[MetricRow]:
    """Build row 9's external rows over the first ``most`` episodes; none without a refined candidate."""
    if REFINED not in candidates:
        return []
    compared = {name: candidates[name] for name in (REFINED, *COMPARED) if name in candidates}
    rollouts = run_rollouts(read_episodes(path, count)[:most], compared, reward, encode)
    subjects = [r.episode.subject_id for r in rollouts]
    out = []
    for name in compared:
        e = bootstrap_mean([r.outcomes[name].score.specific for r in rollouts], subjects)
        out.append(MetricRow.of(9, f"external_log_p_{name}", SPLIT, e))
    for name in compared:
        if name == REFINED:
            continue
        ours, theirs = ([r.outcomes[who].score.specific for r in rollouts] for who in (REFINED, name))
        e = bootstrap_difference(ours, theirs, subjects)
        aim, holds = (0.0, e.ci_low > 0) if name in AIMS else (None, None)
        out.append(MetricRow.of(9, f"external_refined_vs_{name}", SPLIT, e, target=aim, holds=holds))
    return out
