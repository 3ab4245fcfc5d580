"""Properties of an import: independent of order and chunk sizes; every resource is accounted for."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.records import prescan, processor
from pipelines.records.log import spill
from pmlm.settings import Settings
from tests.unit.pipelines.records.fhir import (
    FIRST,
    Clinic,
    Resource,
    allergy,
    condition,
    encounter,
    medication_request,
    no_data_docs,
    observation,
    patient,
    procedure,
    question,
    rating,
    reply,
    with_data_docs,
)

__all__ = ["no_data_docs", "with_data_docs"]

MIXED: list[Resource | str] = [
    patient(),
    patient("eve", birthDate="1991"),
    *(observation(f"w{i}", value=60.0 + i) for i in range(12)),
    observation("second", subject={"reference": "Patient/eve"}),
    observation("twice"),
    observation("twice"),
    observation("torn between", value=1.0) | {"id": "either"},
    observation("either", value=62.0),
    condition(abatementDateTime="2026-05-01"),
    medication_request(status="stopped"),
    encounter(),
    procedure(),
    allergy(),
    question("q", "May I fly? My name is Ana."),
    reply("r", "q", "Yes, until 36 weeks."),
    rating("s", "r", 5),
    observation("heavy", value=900.0),
    observation("nobody's", subject={"reference": "Patient/none"}) | {"id": "nobodys"},
    {"resourceType": "Claim", "id": "x"},
    json.dumps(patient())[:40],
]  # fmt: skip


def a_clinic(folder: Path) -> Clinic:
    """A clinic with a fixed key, so that the same records give the same hashes."""
    drops = folder / "clinic"
    drops.mkdir(parents=True)
    (drops / "clinic.yaml").write_text("name: laws\nclock: last_drop\nhash_key: fixed\n")
    return Clinic(Settings(home=folder / "state", drops=drops, key_dir=folder / "keys"))


def test_any_order_of_lines_and_any_files_give_the_same_batch(tmp_path_factory: pytest.TempPathFactory) -> None:
    batches, accounts = set(), []
    for seed in range(4):
        lines = random.Random(seed).sample(MIXED, len(MIXED))
        clinic = a_clinic(tmp_path_factory.mktemp("order"))
        clinic.put(FIRST, f"{seed}.ndjson", lines[: 5 * seed])
        clinic.put(FIRST, "sub/rest.ndjson.gz", lines[5 * seed :])
        accounts.append(clinic.take(FIRST))
        batches.add(tuple(clinic.batches()))

    assert len(batches) == 1
    assert accounts[1:] == accounts[:-1]
    assert accounts[0].by_rule == {
        "duplicate_conflict": 2, "impossible_value": 1, "invalid_json": 1, "unknown_patient": 1
    }  # fmt: skip


@pytest.mark.parametrize(("lines", "bytes_", "rows"), [(1, 1 << 20, 1), (7, 1 << 20, 4), (1000, 600, 1000)])
def test_any_chunk_size_gives_the_same_state(
    lines: int, bytes_: int, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected = [observation(f"w{i}", value=70.0 + i % 2) for i in range(0, 12, 3)]
    deleted = {"request": {"method": "DELETE", "url": "Observation/w1"}}
    night = [*corrected, {"resourceType": "Bundle", "entry": [deleted]}, patient("none"), "broken", condition("d")]

    def state(folder: Path) -> tuple[object, ...]:
        clinic = a_clinic(folder)
        clinic.put(FIRST, "records.ndjson", MIXED)
        clinic.put("2026-06-02", "records.ndjson", night)
        accounts = clinic.take(FIRST), clinic.take("2026-06-02")
        assert not (clinic.settings.workspace / "data" / "aside").exists()
        rows = {p.name: p.read_bytes() for p in clinic.settings.quarantine.glob("*.jsonl")}
        return clinic.batches(), accounts, rows

    whole = state(tmp_path / "whole")
    monkeypatch.setattr(processor, "CHUNK_RESOURCES", lines)
    monkeypatch.setattr(processor, "CHUNK_BYTES", bytes_)
    monkeypatch.setattr(prescan, "BUFFER_ROWS", rows)
    monkeypatch.setattr(spill, "SHARE_ROWS", rows)

    assert state(tmp_path / "parts") == whole


def _mutants() -> st.SearchStrategy[bytes]:
    """Lines of any bytes, and good lines with something cut out or put in."""
    good = st.sampled_from([json.dumps(x).encode() for x in MIXED])
    cut = st.builds(lambda x, a, b: x[: min(a, b)] + x[max(a, b) :], good, *[st.integers(0, 300)] * 2)
    put = st.builds(lambda x, a, b: x[:a] + b + x[a:], good, st.integers(0, 300), st.binary(min_size=1, max_size=6))
    return st.one_of(st.binary(max_size=40), cut, put).map(lambda x: x.replace(b"\n", b" ").replace(b"\r", b" "))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.floats(allow_nan=False, width=16),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def _misshapen(draw: st.DrawFn) -> bytes:
    """A good resource with one of its fields, at any depth, replaced by any JSON."""
    resource = json.loads(json.dumps(draw(st.sampled_from([x for x in MIXED if isinstance(x, dict)]))))
    place: Resource = resource
    while True:
        key = draw(st.sampled_from(sorted(place)))
        inner = place[key][0] if isinstance(place[key], list) and place[key] else place[key]
        if not isinstance(inner, dict) or not inner or draw(st.booleans()):
            break
        place = inner
    place[draw(st.sampled_from([key, "encounter", "component", "meta", "contained"]))] = draw(_JSON)
    return json.dumps(resource).encode()


@pytest.mark.usefixtures("with_data_docs")
@settings(
    max_examples=settings.default.max_examples // 10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lines=st.lists(_mutants() | _misshapen(), min_size=1, max_size=80))
def test_every_line_of_any_bytes_is_accounted_for(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    clinic = a_clinic(tmp_path_factory.mktemp("bytes"))
    clinic.put(FIRST, "patients.ndjson", [patient()])
    clinic.put(FIRST, "x.ndjson", b"{}\n" + b"\n".join(lines))

    accounts = clinic.take(FIRST)

    assert accounts.accepted + accounts.ignored + accounts.quarantined == accounts.read
    assert len(clinic.quarantined()) == accounts.quarantined
    if not any(line.strip()[:1] == b"[" or b"Bundle" in line for line in lines):
        assert accounts.read == 2 + sum(bool(line.strip()) for line in lines)
