"""An empty clinic in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmlm.settings import Settings
from tests.unit.pipelines.records.fhir import Clinic


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    (tmp_path / "clinic").mkdir()
    (tmp_path / "clinic" / "clinic.yaml").write_text("name: testing\nclock: last_drop\n")
    return Clinic(Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=tmp_path / "keys"))
