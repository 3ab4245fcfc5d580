"""Hostile and broken drops: each is refused by name, and the good records go on."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from pipelines.records import ingest
from pipelines.records.read import archives
from pipelines.records.replay import replay_quarantine
from pmlm.errors import RecordsError
from tests.unit.pipelines.records.fhir import (
    FIRST,
    Clinic,
    clinic,
    ndjson,
    no_data_docs,
    observation,
    patient,
    with_data_docs,
)

__all__ = ["clinic", "no_data_docs", "with_data_docs"]

GOOD = [patient(), observation("w")]


def pack(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.attack(
    "intake", "a link in a drop leads to a file outside", "refused by name; nothing of the file is read"
)
@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
@pytest.mark.usefixtures("with_data_docs")
def test_a_link_out_of_the_drop_is_refused(clinic: Clinic, tmp_path: Path, target: str) -> None:
    secret = tmp_path / "outside" / "passwd"
    secret.parent.mkdir()
    secret.write_text("root:x:0:0:SECRET\n")
    clinic.put(FIRST, "good.ndjson", GOOD)
    aims = {"file": secret, "folder": secret.parent, "nothing": tmp_path / "gone"}
    (clinic.settings.drops / FIRST / "link.ndjson").symlink_to(aims[target])

    assert clinic.take(FIRST).by_rule == {"outside_drop": 1}
    assert clinic.event("observation")
    (row,) = clinic.quarantined()
    assert (row.file, row.text) == ("link.ndjson", b"")
    assert not any(b"SECRET" in f.read_bytes() for f in clinic.settings.workspace.rglob("*") if f.is_file())


def test_a_link_within_the_drop_is_read(clinic: Clinic) -> None:
    good = clinic.put(FIRST, ".versions/good.ndjson", GOOD)
    (clinic.settings.drops / FIRST / "records.ndjson").symlink_to(good)

    assert clinic.take(FIRST).accepted == 2


@pytest.mark.attack(
    "intake", "a file name that is no UTF-8 or has control characters", "read; the name is shown escaped"
)
@pytest.mark.parametrize("name", [b"\xff\xfe.ndjson", b"a\nb\x1b.ndjson"])
@pytest.mark.usefixtures("with_data_docs")
def test_a_file_of_any_name_is_read(clinic: Clinic, name: bytes) -> None:
    folder = os.fsencode(clinic.settings.drops / FIRST)
    Path(os.fsdecode(folder)).mkdir(parents=True)
    Path(os.fsdecode(folder + b"/" + name)).write_bytes(ndjson([*GOOD, "broken"]))

    assert clinic.take(FIRST).by_rule == {"invalid_json": 1}
    (row,) = clinic.quarantined()
    assert row.file.isprintable()
    assert "\\x" in row.file
    assert clinic.take(FIRST).accepted == 2


TWICE = {
    "id": json.dumps(observation("x")).replace('"id": "x"', '"id": "y", "id": "x"'),
    "reference": json.dumps(observation("x")).replace(
        '"reference": "Patient/ana"', '"reference": "Patient/eve", "reference": "Patient/ana"'
    ),
    "value": json.dumps(observation("x")).replace('"value": 61.5', '"value" : 16.5, "value": 61.5'),
    "escaped": json.dumps(observation("x")).replace('"id": "x"', '"\\u0069d": "y", "id": "x"'),
}


@pytest.mark.attack(
    "intake", "one key twice in a JSON object, such as the patient's id", "the record is quarantined, the key named"
)
@pytest.mark.parametrize("shape", ["line", "bundle", "pretty bundle"])
@pytest.mark.parametrize("line", TWICE.values(), ids=TWICE)
def test_a_key_that_is_there_twice_is_refused(clinic: Clinic, line: str, shape: str) -> None:
    if shape == "line":
        data = ndjson([*GOOD, line])
    else:
        entries = ", ".join(f'{{"resource": {x}}}' for x in (*map(json.dumps, GOOD), line))
        data = f'{{"resourceType": "Bundle", "type": "batch", "entry": [{entries}]}}'.encode()
        data = data.replace(b'{"resource"', b'\n{"resource"') if shape == "pretty bundle" else data
    clinic.put(FIRST, "records.json" if "bundle" in shape else "records.ndjson", data)

    assert clinic.take(FIRST).by_rule == {"duplicate_key": 1}
    assert clinic.event("observation")
    assert replay_quarantine(clinic.settings).held == 1


def test_text_that_looks_like_keys_is_no_key(clinic: Clinic) -> None:
    odd = observation("x", note=[{"text": 'id": "id": \\" \u2028 "id":'}])
    lines = [json.dumps(odd), json.dumps(odd | {"id": "y"}, separators=(" , ", " : ")), json.dumps(odd | {"id": "z"})]

    assert clinic.drop(FIRST, patient(), *lines).accepted == 4


def test_the_members_of_a_zip_archive_are_read(clinic: Clinic) -> None:
    inner = gzip.compress(ndjson([observation("x")]))
    bundle = json.dumps({"resourceType": "Bundle", "entry": [{"resource": observation("y")}]}, indent=1).encode()
    members = [("deep/er/good.ndjson", ndjson(GOOD)), ("more.ndjson.gz", inner), ("b.json", bundle)]
    clinic.put(FIRST, "export.zip", pack(*members, ("__MACOSX/._x", b"junk"), ("bad.ndjson", b'{"a"\n')))

    accounts = clinic.take(FIRST)
    assert (accounts.accepted, accounts.by_rule) == (4, {"invalid_json": 1})
    assert clinic.quarantined()[0].file == "export.zip/bad.ndjson"


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("link.ndjson")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


BAD = {
    "a path upwards": ("unsafe_path", ("../../etc/x.ndjson", ndjson(GOOD))),
    "an absolute path": ("unsafe_path", ("/etc/x.ndjson", ndjson(GOOD))),
    "a link": ("outside_drop", (link(), b"/etc/passwd")),
    "an archive within": ("nested_archive", ("inner.zip", pack(("x.ndjson", ndjson(GOOD))))),
}


@pytest.mark.attack(
    "intake",
    "a zip archive with unsafe paths, links or archives in it",
    "the member is refused by name, the others are read",
)
@pytest.mark.parametrize(("rule", "member"), BAD.values(), ids=BAD)
def test_a_hostile_member_is_refused(clinic: Clinic, rule: str, member: tuple[str | zipfile.ZipInfo, bytes]) -> None:
    clinic.put(FIRST, "export.zip", pack(("good.ndjson", ndjson(GOOD)), member))

    assert clinic.take(FIRST).by_rule == {rule: 1}
    assert clinic.event("observation")


@pytest.mark.attack(
    "intake", "a small zip or gzip file that unpacks to far more", "reading stops at a bound, the file is named"
)
@pytest.mark.parametrize("kind", ["zip", "gzip"])
def test_a_bomb_is_given_up(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(archives, "ALLOWANCE", 1 << 20)
    monkeypatch.setattr(archives, "EXPANSION", 2)
    bomb = b'{"resourceType": "Claim"}\n' * 300_000
    clinic.put(FIRST, "a.ndjson", GOOD)
    clinic.put(FIRST, "z.bin", pack(("b.ndjson", bomb)) if kind == "zip" else gzip.compress(bomb))

    accounts = clinic.take(FIRST)
    assert accounts.by_rule == {"archive_too_large": 1}
    assert accounts.read < 100_000


def test_a_torn_archive_is_named(clinic: Clinic) -> None:
    clinic.put(FIRST, "a.ndjson", GOOD)
    clinic.put(FIRST, "z.zip", pack(("b.ndjson", ndjson(GOOD)))[:60])

    assert clinic.take(FIRST).by_rule == {"unreadable_file": 1}


@pytest.mark.attack("intake", "a file that grows while it is read", "nothing of the drop counts; the file is named")
def test_a_file_that_grows_while_it_is_read_stops_the_import(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clinic.put(FIRST, "records.ndjson", GOOD)
    read = ingest.read_resources

    def grow(*args: object) -> object:
        path.write_bytes(path.read_bytes() + ndjson([observation("late")]))
        return read(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "read_resources", grow)
        with pytest.raises(RecordsError, match=r"records\.ndjson was written while it was read"):
            clinic.take(FIRST)
    assert clinic.events().is_empty()

    path.write_bytes(ndjson([*GOOD, observation("late")]))
    assert clinic.take(FIRST).accepted == 3
