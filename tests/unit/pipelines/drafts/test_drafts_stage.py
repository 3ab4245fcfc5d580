"""The stage learns from training replies and from what clinicians did with drafts, the same on every run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.drafts.catalogue import Judgement, read_catalogue
from models.feedback import Feedback
from pipelines.drafts import outcomes, stage
from pipelines.episodes import episode_file
from pmlm.settings import Settings
from tests.unit.models.drafts import clinic_of_replies as clinic

NIGHT = "20260601"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "drops").mkdir()
    (tmp_path / "drops" / "clinic.yaml").write_text("name: little\nhash_key: public\n")
    return Settings(home=tmp_path, drops=tmp_path / "drops")


def test_the_catalogue_is_learnt_from_training_replies_alone(settings: Settings) -> None:
    held_out = [
        replace(clinic.low(n), split="test", reply=("Only a test patient reads this.",)) for n in range(300, 320)
    ]
    episode_file.write_episodes(settings, [*clinic.clinic(), *[replace(e, specific=(True,)) for e in held_out]])
    summary = stage.run(settings, NIGHT)
    file = stage.catalogue_file(settings)
    first = file.read_bytes()
    assert b"test patient" not in first
    assert summary.rows_out == len(read_catalogue(file.parent).sentences) > 0
    stage.run(settings, NIGHT)
    assert file.read_bytes() == first


def test_a_clinic_without_replies_gets_an_empty_catalogue(settings: Settings) -> None:
    assert stage.run(settings, NIGHT).rows_out == 0
    assert read_catalogue(stage.catalogue_file(settings).parent).sentences == ()


@pytest.mark.parametrize(
    "sentence", ["Call me on 020 7946 0999 today.", "See you on 3 May 2026.", "Kind regards, the team"]
)
def test_identifiers_and_signatures_are_left_out(sentence: str) -> None:
    assert not stage.is_clean(sentence)
    assert stage.is_clean("Your haemoglobin of 9.8 g/dL is low, so start iron tablets.")


def test_outcomes_are_counted_within_the_daily_cap(settings: Settings) -> None:
    folder = settings.workspace / "feedback"
    folder.mkdir(parents=True)
    lines = [judged(giver, outcome).line() for giver, outcome in ((1, "accepted"), (2, "rejected"), (3, "edited"))]
    (folder / f"{datetime.now(UTC):%Y%m%d}.jsonl").write_text("\n".join([*lines, lines[0], "{torn"]) + "\n")
    assert outcomes.count_judgements(settings, NIGHT) == {"a" * 12: Judgement(1, 1, 1)}
    assert outcomes.count_judgements(settings, "20250101") == {}


def judged(giver: int, outcome: str) -> Feedback:
    return Feedback(
        id=f"f{giver}", answer="x", subject=1, at=datetime(2026, 5, 1, tzinfo=UTC), received=datetime.now(UTC),
        giver=giver, client=9, by="clinician", kind="draft", points=None, picks=(), style="plain", log_prob=0.0,
        refiner="r", release="r", endpoint="draft", sentence="a" * 12, outcome=outcome,
    )  # fmt: skip
