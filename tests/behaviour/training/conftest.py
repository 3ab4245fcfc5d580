"""One small clinic, trained, evaluated and gated once for all tests that read it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pipelines.evaluation.nightly import gate
from pipelines.evaluation.nightly import stage as evaluate
from pipelines.runs import StageSummary
from pipelines.training import train
from pmlm.settings import Settings
from tests.little_episodes import NIGHT, clinic


@dataclass(frozen=True)
class Trained:
    """The clinic's settings and the summaries of its stages."""

    settings: Settings
    train: StageSummary
    evaluate: StageSummary
    gate: StageSummary


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    settings = clinic(tmp_path_factory.mktemp("trained") / "home")
    return Trained(settings, *(stage.run(settings, NIGHT) for stage in (train, evaluate, gate)))
