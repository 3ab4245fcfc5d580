"""The shipped night is of this code and this clinic, and unpacks whole or not at all."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from pipelines.night.finished import archive
from pmlm.errors import NightError
from pmlm.settings import PROJECT, Settings, load_settings

MOST_BYTES = 15_000_000


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Settings, Path]:
    """A workspace with a few files of a night, packed."""
    settings = load_settings(home=tmp_path / "one")
    for name in (
        "clock.json",
        "models/champion/a",
        "models/registry/former/a",
        "metrics/gate.json",
        "runs/20260606/save.json",
        "data/ledger/20260606.json",
    ):
        (settings.workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.workspace / name).write_text(f"content of {name}")
    target = tmp_path / "night.tar.xz"
    archive.pack_night(settings, target)
    return load_settings(home=tmp_path / "two"), target


def test_the_shipped_night_was_made_with_this_code_and_the_sample_clinic() -> None:
    """Fails after a change of features, templates, encoder or sample: `make finished-night` packs it again."""
    settings = load_settings(drops=PROJECT / "examples" / "clinic")
    assert archive.find_differences(settings) == []
    assert archive.ARCHIVE.stat().st_size < MOST_BYTES


def test_the_shipped_night_is_the_samples_last() -> None:
    days = sorted(p.name for p in (PROJECT / "examples" / "clinic").glob("2026-*"))
    assert archive.read_manifest()["night"] == days[-1].replace("-", "")


def test_the_shipped_night_can_be_rolled_back() -> None:
    """Each former champion's files are in it."""
    with tarfile.open(archive.ARCHIVE) as packed:
        record = packed.extractfile("models/champion/champion.json")
        assert record is not None
        former = json.loads(record.read())["previous"]
        assert former
        assert {f"models/registry/{one}/refiner.json" for one in former} <= set(packed.getnames())


def test_a_packed_night_unpacks_with_the_same_content(packed: tuple[Settings, Path]) -> None:
    empty, source = packed
    assert archive.unpack_night(empty, source) == "20260606"
    for name in archive.read_manifest(source)["files"]:
        assert (empty.workspace / name).read_text() == f"content of {name}"
    assert json.loads((empty.workspace / archive.MARK).read_text())["night"] == "20260606"


@pytest.mark.parametrize("moment", range(7))
def test_an_unpacking_killed_at_any_rename_leaves_no_night_or_a_marked_one(
    packed: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    empty, source = packed
    renames, rename = count(), Path.replace

    def die(self: Path, target: Path) -> Path:
        if next(renames) >= moment:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(Path, "replace", die)
        archive.unpack_night(empty, source)
    ledger = empty.workspace / "data" / "ledger" / "20260606.json"
    assert ledger.exists() == (empty.workspace / archive.MARK).exists()
    archive.unpack_night(empty, source)
    assert ledger.exists()
    assert (empty.workspace / archive.MARK).exists()


def test_the_same_night_makes_the_same_file(packed: tuple[Settings, Path], tmp_path: Path) -> None:
    empty, source = packed
    archive.unpack_night(empty, source)
    archive.pack_night(empty, tmp_path / "again.tar.xz")
    assert (tmp_path / "again.tar.xz").read_bytes() == source.read_bytes()


def test_a_night_of_another_version_is_not_unpacked(
    packed: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, source = packed
    monkeypatch.setattr(archive, "TEMPLATE_VERSION", "v9")
    with pytest.raises(NightError, match=r"another version \(template\)"):
        archive.unpack_night(empty, source)
    assert not (empty.workspace / "data").exists()


def test_a_damaged_night_is_not_unpacked(packed: tuple[Settings, Path], tmp_path: Path) -> None:
    empty, source = packed
    with tarfile.open(source) as whole, tarfile.open(tmp_path / "bad.tar.xz", "w:xz") as bad:
        for member in whole:
            content = whole.extractfile(member).read()  # type: ignore[union-attr]
            if member.name == "metrics/gate.json":
                content, member.size = b"other", 5
            bad.addfile(member, io.BytesIO(content))
    with pytest.raises(NightError, match=r"damaged: metrics/gate\.json"):
        archive.unpack_night(empty, tmp_path / "bad.tar.xz")
    assert not (empty.workspace / "data").exists()
