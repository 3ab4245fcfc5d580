"""No identifier of the sample clinic is in anything a night wrote: searched byte by byte, packed files included.

Quarantine is the one exception: it alone keeps raw lines, and nobody but its owner may read them.
"""

from __future__ import annotations

import gzip
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.records.log import event_log
from pmlm.settings import PROJECT, Settings
from tests.contract.byte_search import contents, found, leaks
from tests.contract.identifiers import Person, persons

SECRET = "Eulalia Quibblesworth"


@pytest.fixture(scope="module")
def people() -> list[Person]:
    """Everyone the sample clinic's raw records name."""
    known = persons(PROJECT / "examples" / "clinic")
    assert sum(p.kind == "Patient" for p in known) >= 60
    return known


@pytest.fixture(scope="module")
def needles(people: list[Person]) -> list[str]:
    return sorted({needle for person in people for needle in person.needles})


@pytest.fixture(scope="module")
def settings(night_done: Any) -> Settings:
    found_settings: Settings = night_done.settings
    return found_settings


def outputs(settings: Settings) -> Iterator[Path]:
    """Every file under the state folder but quarantine's and the embedded LLM's weights, which hold no record."""
    for file in sorted(settings.home.rglob("*")):
        if file.is_file() and not file.is_symlink():
            inside = file.relative_to(settings.home).parts
            if settings.embedded_llm not in file.parents and inside[1:2] != ("quarantine",):
                yield file


def _packed(folder: Path) -> dict[str, bytes]:
    text = f"call me, {SECRET}".encode()
    table = pl.DataFrame({"n": [1, 2], "t": [None, [{"text": text.decode()}]]})
    table.write_parquet(folder / "t.parquet", compression="zstd")
    return {
        "plain": text,
        "gzip": gzip.compress(text),
        "git object": zlib.compress(b"blob 9\0" + text),
        "parquet": (folder / "t.parquet").read_bytes(),
    }


@pytest.mark.parametrize("form", ["plain", "gzip", "git object", "parquet"])
def test_a_planted_name_is_found_however_it_is_packed(form: str, tmp_path: Path) -> None:
    data = _packed(tmp_path)[form]
    assert found(contents(data), ["nobody at all", SECRET.upper()]) == {SECRET.upper()}


def test_the_raw_records_do_hold_what_is_searched_for(needles: list[str]) -> None:
    raw = [gzip.decompress(f.read_bytes()) for f in sorted((PROJECT / "examples" / "clinic").glob("*/*.gz"))]
    in_records = found(raw, needles)
    assert len(in_records) > len(needles) / 4  # names, ids, numbers, addresses; not every spelling of a birth date


def test_no_output_of_a_night_holds_an_identifier(settings: Settings, needles: list[str]) -> None:
    inside = (file for file in outputs(settings) if file.is_relative_to(settings.workspace))
    kinds = {file.relative_to(settings.workspace).parts[0] for file in inside}
    assert {"data", "metrics", "models", "reports", "runs", "feast", "monitoring", "releases", ".dvc"} <= kinds
    assert leaks(outputs(settings), needles) == {}


def test_what_the_night_printed_holds_no_identifier(night_done: Any, needles: list[str]) -> None:
    assert found([night_done.screen.encode()], needles) == set()


def test_no_message_keeps_a_name(settings: Settings, people: list[Person]) -> None:
    """Her own names and all clinicians' by themselves, where they stand as names: capitalised, inside a sentence."""
    clinicians = {name for p in people if p.kind == "Practitioner" for name in (*p.given, p.family)}
    names = {settings.subject_id(p.ident): {*p.given, p.family} for p in people if p.kind == "Patient"}
    messages = event_log.scan_events(settings).filter(pl.col("kind").is_in(["question", "reply"])).collect()
    assert messages.height > 20
    for subject, text in messages.select("subject_id", "text_value").iter_rows():
        sentences = re.split(r"[.!?]\s+", text.replace("Dr. ", "Dr "))
        inner = {word for sentence in sentences for word in re.findall(r"\w+", sentence)[1:]}
        assert not inner & (clinicians | names.get(subject, set()))


def test_quarantine_keeps_raw_lines_and_only_its_owner_reads_them(settings: Settings, needles: list[str]) -> None:
    quarantined = [file for file in settings.quarantine.rglob("*") if file.is_file()]
    assert leaks(quarantined, needles), "broken lines wait with all they said"
    assert {stat.S_IMODE(file.stat().st_mode) for file in quarantined} == {0o600}
    assert stat.S_IMODE(settings.quarantine.stat().st_mode) == 0o700
