"""An erased patient is in no byte of the state, and neither an old night nor a new drop brings them back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from bentos.auth import audit, audit_check
from bentos.auth.audit import RequestAudit
from pipelines import tombstones
from pipelines.night import forget, night, saved_nights, verify_hashes
from pipelines.night.workspace import run_git
from pipelines.records.log import event_log
from pipelines.runs import read_summaries
from pmlm.errors import UnknownPatientError
from pmlm.settings import Settings
from pmlm.storage import append_lines, hash_files, write_json
from tests.contract.byte_search import contents

FIRST, SECOND, THIRD = "20260301", "20260302", "20260303"
GONE, STAYS = "Patient/patient-gone", "Patient/patient-stays"


@dataclass(frozen=True)
class Erased:
    """A clinic of two patients and two nights, one patient erased; ``before`` is a copy of the state before."""

    settings: Settings
    before: Settings
    done: forget.Forgotten


def write_drop(folder: Path, weight: float) -> None:
    """Write both patients and a weight of each on the drop's day, and a broken line of the one to be erased."""
    lines: list[str] = []
    for number, reference in enumerate((GONE, STAYS)):
        ident = reference.removeprefix("Patient/")
        person = {"resourceType": "Patient", "id": ident, "gender": "female", "birthDate": "1990-01-01"}
        value = {"value": weight + number, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
        observation = {
            "resourceType": "Observation", "id": f"weight-{number}-{folder.name}", "status": "final",
            "subject": {"reference": reference}, "valueQuantity": value,
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "effectiveDateTime": f"{folder.name}T09:00:00Z",
        }  # fmt: skip
        lines += [json.dumps(person), json.dumps(observation)]
    lines.append('{"resourceType": "Observation", "subject": {"reference": "Patient/patient-gone"}, "torn')
    folder.mkdir(parents=True)
    (folder / "records.ndjson").write_text("\n".join(lines) + "\n")


def use(settings: Settings) -> None:
    """What an endpoint would have written about both patients."""
    for reference in (GONE, STAYS):
        subject = settings.subject_id(reference)
        line = {"id": f"answer-{subject % 97}", "patient": settings.pseudonym("interaction", str(subject))}
        append_lines(settings.workspace / "interactions" / "20260302.jsonl", json.dumps(line) + "\n")
        given = {"id": f"text-{subject % 97}", "subject": subject}
        append_lines(settings.workspace / "feedback" / "20260302.jsonl", json.dumps(given) + "\n")
        write_json(settings.workspace / "feedback" / "texts" / f"{given['id']}.json", {"comment": reference})
        audit.write(settings, RequestAudit("/answer", "portal", [subject]), 200)


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Erased:
    folder = tmp_path_factory.mktemp("forget")
    settings = Settings(home=folder / "state", drops=folder / "clinic", key_dir=folder / "keys")
    for day, weight in (("2026-03-01", 60.0), ("2026-03-02", 61.0)):
        write_drop(folder / "clinic" / day, weight)
        night.run_intake(settings, day.replace("-", ""))
    use(settings)
    before = Settings(home=folder / "before", drops=settings.drops, key_dir=settings.key_dir)
    shutil.copytree(settings.home, before.home, symlinks=True)
    return Erased(settings, before, forget.forget_patient(settings, GONE, "A. Clerk", "request 17", lambda *_: None))


@pytest.fixture
def copied(erased: Erased, tmp_path: Path) -> Settings:
    """The clinic after the erasure, to be changed."""
    settings = Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=erased.settings.key_dir)
    shutil.copytree(erased.settings.home, settings.home, symlinks=True)
    shutil.copytree(erased.settings.drops, settings.drops)
    return settings


def search(settings: Settings, reference: str) -> set[str]:
    """The files, opened if packed, that have a pseudonym or the id of a patient in any form."""
    subject = settings.subject_id(reference)
    names = ("interaction", "audit")
    numbers = [subject, *(settings.pseudonym(name, str(subject)) for name in names)]
    needles = [reference.removeprefix("Patient/").encode(), *(str(number).encode() for number in numbers)]
    needles += [number.to_bytes(8, order) for number in numbers for order in ("little", "big")]
    found = set()
    for path in settings.home.rglob("*"):
        if path.is_file() and (data := path.read_bytes()):
            packed = data[:4] == b"PAR1" and any(_has_number(path, number) for number in numbers)
            if packed or any(needle in content for content in contents(data) for needle in needles):
                found.add(path.relative_to(settings.home).as_posix())
    return found


def _has_number(path: Path, number: int) -> bool:
    frame = pl.read_parquet(path, hive_partitioning=False)
    whole = [name for name, dtype in frame.schema.items() if dtype == pl.Int64]
    return any((frame[name] == number).any() for name in whole)


def select(settings: Settings, reference: str) -> pl.DataFrame:
    mine = event_log.scan_events(settings).filter(pl.col("subject_id") == settings.subject_id(reference))
    return mine.sort(event_log.COLUMNS).collect()


def test_the_patient_was_everywhere_before(erased: Erased) -> None:
    places = {path.split("/")[0] + "/" + path.split("/")[1] for path in search(erased.before, GONE)}
    workspace = erased.before.clinic
    assert {".remotes/clinic", f"{workspace}/.dvc", f"{workspace}/data", f"{workspace}/feast"} <= places
    assert {f"{workspace}/{name}" for name in ("quarantine", "interactions", "feedback", "audit")} <= places


def test_no_byte_of_the_state_names_the_patient(erased: Erased) -> None:
    assert search(erased.settings, GONE) == set()
    assert erased.done.left == []


def test_the_other_patient_is_as_before(erased: Erased) -> None:
    after, before = erased.settings, erased.before
    assert select(after, STAYS).equals(select(before, STAYS))
    for path in sorted(before.features.glob("*/*.parquet")):
        rows = pl.read_parquet(path).filter(pl.col("subject_id") == before.subject_id(STAYS))
        assert pl.read_parquet(after.features / path.relative_to(before.features)).equals(rows)
    assert search(after, STAYS) >= {f"{after.clinic}/interactions/20260302.jsonl"}
    texts = [path.name for path in sorted((after.workspace / "feedback" / "texts").iterdir())]
    assert texts == [f"text-{after.subject_id(STAYS) % 97}.json"]


def test_the_audit_record_still_holds(erased: Erased) -> None:
    check = audit_check.verify(erased.settings, audit.folder(erased.settings))
    assert (check.lines, check.erased, check.findings) == (2, 1, [])


def test_files_are_what_the_saved_nights_say(erased: Erased) -> None:
    assert verify_hashes.find_changed_outs(erased.settings.workspace) == []
    assert [one.night for one in saved_nights.list_saved_nights(erased.settings)] == [FIRST, SECOND]


def test_the_tombstone_names_nobody(erased: Erased) -> None:
    (stone,) = tombstones.list_tombstones(erased.settings)
    assert (stone.by, stone.why) == ("A. Clerk", "request 17")
    assert {path.name for path in tombstones.folder(erased.settings).iterdir()} == {"tombstones.json", "checked.json"}


def test_a_patient_whom_nobody_knows_cannot_be_forgotten(copied: Settings) -> None:
    with pytest.raises(UnknownPatientError):
        forget.forget_patient(copied, "Patient/nobody-knows-me", "a", "b", lambda *_: None)


def test_the_next_night_refuses_the_patient_and_builds_only_what_is_new(copied: Settings) -> None:
    built = {path: path.read_bytes() for path in copied.features.glob("*/*.parquet")}
    write_drop(copied.drops / "2026-03-03", 62.0)
    night.run_intake(copied, THIRD)
    summaries = {one.stage: one for one in read_summaries(copied, THIRD)}
    assert summaries["records"].figures["ignored_types"] == {"record of an erased patient": 3}
    assert "3 records of erased patients refused" in summaries["records"].detail
    assert search(copied, GONE) == set()
    assert len(select(copied, STAYS)) == len(select(copied, STAYS).unique("record"))
    assert {path: path.read_bytes() for path in built} == built
    assert summaries["materialise"].rows_in == len(list(copied.features.glob(f"*/{THIRD}.parquet")))


def test_a_restored_night_has_no_erased_patient(copied: Settings) -> None:
    night.restore_night(copied, FIRST)
    assert len(select(copied, STAYS)) > 0
    assert search(copied, GONE) == set()


@pytest.fixture
def put_back(erased: Erased, copied: Settings) -> Callable[[], None]:
    """Put a backup of the saved nights, made before the erasure, into the place of the erased ones."""

    def put() -> None:
        for name in (".git", ".dvc", "dvc.lock"):
            source, target = erased.before.workspace / name, copied.workspace / name
            if target.is_dir():
                shutil.rmtree(target)
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy2(source, target)

    return put


def test_a_night_restored_from_a_backup_is_erased_again(copied: Settings, put_back: Callable[[], None]) -> None:
    put_back()
    assert search(copied, GONE)
    night.restore_night(copied, FIRST)
    assert len(select(copied, STAYS)) > 0
    assert search(copied, GONE) == set()


def test_a_night_applied_by_dvc_is_erased_by_the_next_command(copied: Settings, put_back: Callable[[], None]) -> None:
    put_back()
    saved_nights.restore_experiment(copied, SECOND)
    assert len(select(copied, GONE)) > 0
    night.run_stage(copied, "materialise")
    assert search(copied, GONE) == set()


class Killed(BaseException):
    """What no handler catches."""


def content(settings: Settings) -> tuple[dict[str, str], str, str]:
    """The saved nights, and the files of events, ledger and features, as content."""
    lines = run_git(settings.workspace, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
    nights = dict(line.split() for line in lines)
    data = hash_files([settings.events, settings.workspace / "data" / "ledger", settings.features])
    return nights, data, (settings.workspace / "dvc.lock").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(0, 40, 6))
def test_an_erasure_killed_at_any_write_is_finished_by_the_next_night(
    erased: Erased, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    settings = Settings(home=tmp_path / "state", drops=erased.settings.drops, key_dir=erased.settings.key_dir)
    shutil.copytree(erased.before.home, settings.home, symlinks=True)
    writes, rename = count(), Path.replace

    def die(self: Path, target: Path) -> Path:
        if next(writes) >= moment:
            raise Killed
        return rename(self, target)

    with monkeypatch.context() as patched, suppress(Killed):
        patched.setattr(Path, "replace", die)
        forget.forget_patient(settings, GONE, "A. Clerk", "request 17", lambda *_: None)
    if not (tombstones.folder(settings) / "pending.json").exists():  # it was killed before it began
        forget.forget_patient(settings, GONE, "A. Clerk", "request 17", lambda *_: None)
    night.run_stage(settings, "materialise")
    assert search(settings, GONE) == set()
    assert content(settings) == content(erased.settings)
    assert not (tombstones.folder(settings) / "pending.json").exists()
