"""A line of a drop is found by the hash of what it says, and read by its place."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from pathlib import Path

import pytest

from pipelines.lineage.source_lines import find_lines, read_line
from pipelines.records.read.identity import hash_content
from pmlm.errors import RecordsError
from pmlm.settings import Settings

FIRST, SECOND, THIRD = ({"resourceType": "Condition", "id": name} for name in ("c1", "c2", "c3"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two drops: gzipped NDJSON with a blank and a broken line, and a Bundle that stands on one line."""
    one, two = tmp_path / "clinic" / "2026-03-01", tmp_path / "clinic" / "2026-03-02"
    one.mkdir(parents=True)
    two.mkdir()
    lines = [json.dumps(FIRST), "", '{"resourceType": "Condi', json.dumps(SECOND)]
    (one / "Condition.ndjson.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": FIRST}, {"resource": THIRD}]}
    (two / "bundle.json").write_text(json.dumps(bundle))
    return Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=tmp_path / "keys")


def test_a_line_is_found_in_the_drop_of_its_night_by_what_it_says(settings: Settings) -> None:
    source = hash_content(settings, SECOND)
    line = find_lines(settings, {"20260301": [source]})[source]
    assert (line.file, line.line, line.entry) == ("2026-03-01/Condition.ndjson.gz", 4, 0)
    assert line.sha256 == sha256(json.dumps(SECOND).encode()).hexdigest()


def test_an_entry_of_a_bundle_is_found_by_its_place_in_it(settings: Settings) -> None:
    source = hash_content(settings, THIRD)
    line = find_lines(settings, {"20260302": [source]})[source]
    assert (line.file, line.line, line.entry, line.sha256) == ("2026-03-02/bundle.json", 1, 2, None)


def test_what_waited_in_quarantine_is_found_in_the_drop_that_it_came_with(settings: Settings) -> None:
    first, second = hash_content(settings, FIRST), hash_content(settings, SECOND)
    found = find_lines(settings, {"20260302": [first, second, "no such source"]})
    assert {source: line.file for source, line in found.items()} == {
        first: "2026-03-02/bundle.json",  # its own night's drop goes before an earlier one
        second: "2026-03-01/Condition.ndjson.gz",
    }


def test_a_line_is_read_with_every_resource_on_it(settings: Settings) -> None:
    place = settings.drops / "2026-03-02" / "bundle.json"
    assert [line.source for line in read_line(settings, f"{place}:1")] == [
        hash_content(settings, FIRST),
        hash_content(settings, THIRD),
    ]
    (line,) = read_line(settings, "2026-03-01/Condition.ndjson.gz:4")
    assert (line.night, line.type, line.source) == ("20260301", "Condition", hash_content(settings, SECOND))


def test_a_broken_line_is_a_line_too(settings: Settings) -> None:
    (line,) = read_line(settings, "2026-03-01/Condition.ndjson.gz:3")
    assert (line.type, line.sha256) == ("", sha256(b'{"resourceType": "Condi').hexdigest())


@pytest.mark.parametrize("place", ["2026-03-01/Condition.ndjson.gz:2", "2026-03-01/Condition.ndjson.gz:9",
                                   "2026-03-01/other.ndjson:1", "clinic.yaml:1", "../x:1", "x", "x:0"])  # fmt: skip
def test_no_line_is_one_plain_error(settings: Settings, place: str) -> None:
    with pytest.raises(RecordsError):
        read_line(settings, place)
