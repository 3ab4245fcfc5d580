"""The cache of Synthea's records: a record is generated once, and read as it was generated."""

from pathlib import Path

import pytest

from pipelines.synthetic.records import synthea
from pipelines.synthetic.records.calendar import Calendar

RECORD = [{"resourceType": "Patient", "id": "p", "name": [{"given": ["Zoë"]}], "weight": 61.35}]


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Which (seed, index) were generated; every third patient died."""
    calls: list[tuple[int, int]] = []

    def generate(seed: int, index: int, calendar: Calendar) -> list[dict] | None:
        calls.append((seed, index))
        return None if index % 3 == 2 else RECORD

    monkeypatch.setattr(synthea, "generate_record", generate)
    return calls


@pytest.mark.parametrize("index", [0, 2])
def test_a_record_is_generated_once(generated: list, tmp_path: Path, index: int) -> None:
    first = synthea.read_record(7, index, Calendar(), tmp_path)
    assert synthea.read_record(7, index, Calendar(), tmp_path) == first
    assert generated == [(7, index)]


def test_seeds_indices_and_calendars_do_not_share_a_record(generated: list, tmp_path: Path) -> None:
    for seed, index, nights in ((7, 0, 5), (8, 0, 5), (7, 1, 5), (7, 0, 6)):
        synthea.read_record(seed, index, Calendar(nights=nights), tmp_path)
    assert len(generated) == 4


def test_a_torn_file_is_generated_again(generated: list, tmp_path: Path) -> None:
    synthea.read_record(7, 0, Calendar(), tmp_path)
    (file,) = tmp_path.rglob("*.json.gz")
    file.write_bytes(file.read_bytes()[:20])
    assert synthea.read_record(7, 0, Calendar(), tmp_path) == RECORD
    assert len(generated) == 2


def test_without_a_cache_nothing_is_written(generated: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert synthea.read_record(7, 0, Calendar(), None) == RECORD
    assert not list(tmp_path.iterdir())
