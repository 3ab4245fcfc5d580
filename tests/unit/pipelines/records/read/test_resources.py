"""Reading files of every shape and name: resources, their places, and what is no FHIR."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelines.records.read.raw_resource import RawResource
from pipelines.records.read.resources import read_resources
from pmlm.errors import RecordsError
from tests.unit.pipelines.records.fhir import bundle, ndjson, observation, patient

LIMIT = 1 << 20
PAIR = [patient(), observation("w")]


def read_file(
    folder: Path, name: str, data: bytes, limit: int = LIMIT, skipped: list[str] | None = None
) -> list[RawResource]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return list(read_resources(folder, limit, skipped))


SHAPES: dict[str, tuple[str, bytes]] = {
    "ndjson": ("Observation.000.ndjson", ndjson(PAIR)),
    "ndjson in gzip without saying so": ("deep/er/export", gzip.compress(ndjson(PAIR))),
    "ndjson with byte order mark and CRLF": ("a.ndjson", b"\xef\xbb\xbf" + ndjson(PAIR).replace(b"\n", b"\r\n")),
    "blank lines between": ("b.txt", ndjson(PAIR).replace(b"\n", b"\n\n  \n")),
    "bundle on one line": ("bundle.json", json.dumps(bundle(*PAIR)).encode()),
    "bundle over many lines": ("bundle.json", json.dumps(bundle(*PAIR), indent=2).encode()),
    "bundle in gzip": ("bundle.json.gz", gzip.compress(json.dumps(bundle(*PAIR), indent=1).encode())),
    "a bundle a line": ("bundles.ndjson", ndjson([bundle(PAIR[0]), bundle(PAIR[1])])),
    "searchset": ("page-1", json.dumps(bundle(*PAIR, kind="searchset") | {"total": 2, "link": []}).encode()),
    "entry before type": ("sorted.json", json.dumps(bundle(*PAIR), indent=2, sort_keys=True).encode()),
    "array": ("all.json", json.dumps(PAIR).encode()),
    "array over many lines": ("all.json", json.dumps(PAIR, indent=4).encode()),
    "bundle within a bundle": ("nested.json", json.dumps(bundle(bundle(*PAIR))).encode()),
}


@pytest.mark.parametrize(("name", "data"), SHAPES.values(), ids=SHAPES)
def test_every_shape_holds_the_same_resources(tmp_path: Path, name: str, data: bytes) -> None:
    skipped: list[str] = []

    assert [raw.resource for raw in read_file(tmp_path, name, data, skipped=skipped)] == PAIR
    assert skipped == []


def test_a_single_resource_over_many_lines_is_one_resource(tmp_path: Path) -> None:
    [raw] = read_file(tmp_path, "patient.json", json.dumps(patient(), indent=2).encode())

    assert raw.resource == patient()


@pytest.mark.parametrize("sort_keys", [False, True], ids=["type first", "entry first"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
def test_a_resource_with_entries_of_its_own_is_no_bundle(tmp_path: Path, sort_keys: bool, mark: bytes) -> None:
    allergies = {"resourceType": "List", "id": "l", "entry": [{"item": {"reference": "AllergyIntolerance/a"}}] * 3}
    document = json.dumps(allergies, indent=2, sort_keys=sort_keys).encode()

    [raw] = read_file(tmp_path, "list.json", mark + document)
    assert raw.resource == allergies
    [raw] = read_file(tmp_path, "list.json", document, limit=100)
    assert raw.error is not None
    assert raw.error.rule == "line_too_long"


def test_a_line_knows_its_file_and_its_place(tmp_path: Path) -> None:
    lines = read_file(tmp_path, "in/w.ndjson", ndjson(["", PAIR[0], "", PAIR[1]]))
    assert [(raw.file, raw.line, raw.entry) for raw in lines] == [("in/w.ndjson", 2, 0), ("in/w.ndjson", 4, 0)]


def test_an_entry_knows_the_line_it_begins_on(tmp_path: Path) -> None:
    text = json.dumps(bundle(*PAIR), indent=1)
    lines = read_file(tmp_path, "b.json", text.encode())

    opening = [n for n, line in enumerate(text.splitlines(), 1) if line == "  {"]
    assert [(raw.line, raw.entry) for raw in lines] == list(zip(opening, (1, 2), strict=True))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("manifest.json", b'{"transactionTime": "2026-06-01T00:00:00Z", "output": []}'),
        ("manifest.json", json.dumps({"transactionTime": "2026", "output": [1, 2]}, indent=2).encode()),
        ("README", b"Exported on Monday.\n"),
        ("picture.png", b"\x89PNG\r\n\x1a\n\x00\x00"),
        ("table.csv", b"id,weight\n7,61\n"),
    ],
)
def test_files_of_another_kind_are_passed_over_by_name(tmp_path: Path, name: str, data: bytes) -> None:
    skipped: list[str] = []

    assert read_file(tmp_path, name, data, skipped=skipped) == []
    assert skipped == [name]


def test_hidden_files_and_empty_files_hold_nothing(tmp_path: Path) -> None:
    assert read_file(tmp_path, ".DS_Store", ndjson(PAIR)) + read_file(tmp_path, "empty.ndjson", b"") == []


def test_a_torn_bundle_keeps_the_entries_before_the_tear(tmp_path: Path) -> None:
    text = json.dumps(bundle(*PAIR, observation("x")), indent=2).encode()
    lines = read_file(tmp_path, "torn.json", text[: text.index(b'"x"') - 5])

    assert [raw.resource for raw in lines[:2]] == PAIR
    assert [raw.error.rule for raw in lines[2:] if raw.error] == ["invalid_json"]


def test_a_torn_archive_keeps_the_lines_before_the_tear(tmp_path: Path) -> None:
    many = [observation(f"w{i}", note=str(i) * 50) for i in range(2000)]
    lines = read_file(tmp_path, "torn.ndjson.gz", gzip.compress(ndjson(many))[:-2000])

    assert lines[0].resource == many[0]
    assert lines[-1].error is not None
    assert lines[-1].error.rule == "unreadable_file"


def test_a_broken_first_line_does_not_hide_the_others(tmp_path: Path) -> None:
    broken, *good = read_file(tmp_path, "patients", ndjson([json.dumps(patient())[:30], *PAIR]))

    assert broken.error is not None
    assert [raw.resource for raw in good] == PAIR


def test_a_request_to_delete_is_a_resource_of_its_own(tmp_path: Path) -> None:
    gone = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "Observation/w"}}]}
    [raw] = read_file(tmp_path, "deleted.ndjson", ndjson([gone]))

    assert (raw.deleted, raw.resource) == (True, {"resourceType": "Observation", "id": "w"})


def test_a_bundle_far_over_the_limit_is_read_entry_by_entry(tmp_path: Path) -> None:
    many = [observation(f"w{i}", note="n" * 1000) for i in range(3000)]
    lines = read_file(tmp_path, "large.json", json.dumps(bundle(*many)).encode(), limit=100_000)

    assert [raw.resource for raw in lines] == many


def test_an_entry_over_the_limit_is_given_up(tmp_path: Path) -> None:
    wide = bundle(observation("w", note="n" * 4_000_000))
    lines = read_file(tmp_path, "wide.json", json.dumps(wide, indent=1).encode(), limit=100_000)

    assert [raw.error.rule for raw in lines if raw.error] == ["line_too_long"]


def test_a_line_over_the_limit_is_never_held(tmp_path: Path) -> None:
    """Memory stays near the limit for a line sixty times longer, plain and packed."""
    long = (
        b'{"resourceType": "Patient", "note": "' + b"n" * (60 * LIMIT) + b'"}\n' + json.dumps(PAIR[0]).encode() + b"\n"
    )
    for name, content in (("long.ndjson", long), ("long.ndjson.gz", gzip.compress(long, 1))):
        (tmp_path / name).write_bytes(content)
    del long, content
    tracemalloc.start()
    found = [(raw.file, raw.error and raw.error.rule, raw.data[:1]) for raw in read_resources(tmp_path, LIMIT)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [
        (n, *expected) for n in ("long.ndjson", "long.ndjson.gz") for expected in (("line_too_long", b""), (None, b"{"))
    ]
    assert peak < 8 * LIMIT


def test_a_missing_drop_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordsError):
        list(read_resources(tmp_path / "nowhere", LIMIT))


@given(junk=st.lists(st.binary(min_size=1, max_size=60), max_size=8))
def test_any_bytes_in_an_ndjson_file_are_read_line_by_line(
    junk: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = b"\n".join(junk)
    assume(
        b"[" not in data and not data.startswith((b"\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04"))
    )  # a list, a mark, a pack
    written = [line for line in data.split(b"\n") if line.strip()]
    folder = tmp_path_factory.mktemp("junk")

    assert len(read_file(folder, "j.ndjson", data)) == len(written)


@given(text=st.text(max_size=400), indent=st.sampled_from([None, 1]))
def test_text_of_any_kind_does_not_confuse_the_cutting_of_bundles(
    text: str, indent: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tricky = [observation("w", note=[{"text": text + '"}]{[\\"entry": ['}]), patient(text="}")]
    data = json.dumps({"note": "entry", **bundle(*tricky)}, indent=indent).encode()

    lines = read_file(tmp_path_factory.mktemp("cut"), "b.json", data)
    assert [raw.resource for raw in lines] == tricky
