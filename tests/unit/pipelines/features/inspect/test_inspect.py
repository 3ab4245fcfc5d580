"""``pmlm features show``, ``verify``, ``diff`` and ``catalogue`` on a small clinic, sound or damaged."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from markupsafe import escape
from typer.testing import CliRunner

from feature_repo.store.services import find_groups, list_features
from pipelines.features.build import stage
from pipelines.features.inspect.patients import list_patients
from pipelines.features.inspect.show import read_row
from pipelines.features.online import materialise
from pipelines.records.log import ledger as records_ledger
from pmlm.cli.main import app
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json
from tests.unit.pipelines.features.built import (
    LAST,
    clinic,
    forget,
    known_on,
    night_of,
    patients,
    uncommitted,
    write_batch,
)
from tests.unit.pipelines.features.histories import Event

MIDDLE = night_of(5)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    found = patients(seed=41, pairs=12)
    for event in found:  # values a person can have: generated ones come from one pool for every signal
        event["numeric_value"] = None if event["kind"] == "observation" else event["numeric_value"]
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Settings:
    settings = clinic(tmp_path_factory.mktemp("sound"))
    (settings.drops / "clinic.yaml").write_text("name: sound\nclock: last_drop\n")
    settings = clinic(settings.drops.parent)
    for before, night in ((None, MIDDLE), (MIDDLE, LAST)):
        write_batch(settings, night, known_on(events, before, night))
        stage.run(settings, night)
        materialise.run(settings, night)
    as_of = f"{LAST[:4]}-{LAST[4:6]}-{LAST[6:]}T23:59:59+00:00"
    write_json(settings.workspace / "clock.json", {"as_of": as_of})
    return settings


@pytest.fixture
def settings(sound: Settings, tmp_path: Path) -> Settings:
    """A copy that a test may damage."""
    shutil.copytree(sound.home, tmp_path / "state")
    shutil.copytree(sound.drops, tmp_path / "clinic")
    return clinic(tmp_path)


def run(settings: Settings, *words: str) -> tuple[int, str]:
    env = {"PMLM_HOME": str(settings.home), "PMLM_DROPS": str(settings.drops), "PMLM_KEY_DIR": str(settings.key_dir)}
    done = CliRunner().invoke(app, ["features", *words], env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def checks(settings: Settings) -> tuple[int, dict[str, bool]]:
    code, text = run(settings, "verify", "--json")
    found = json.loads(text.splitlines()[-1])
    assert found["holds"] == all(check["holds"] for check in found["checks"])
    return code, {check["name"]: check["holds"] for check in found["checks"]}


def test_sound_features_pass_every_check(sound: Settings) -> None:
    code, found = checks(sound)
    assert (code, [name for name, holds in found.items() if not holds]) == (0, [])


def _edit(settings: Settings, group: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a group's last file, but not its metadata."""
    path = settings.features / group / f"{LAST}.parquet"
    table = pq.read_table(path)
    edited = change(pl.DataFrame(table)).to_arrow().cast(table.schema)
    pq.write_table(edited.replace_schema_metadata(table.schema.metadata), path)


def _one(name: str, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    first = pl.int_range(pl.len()) == 0
    return lambda rows: rows.with_columns(pl.when(first).then(pl.lit(value)).otherwise(pl.col(name)).alias(name))


def _impossible(settings: Settings) -> None:
    _edit(settings, "vitals", _one("systolic_latest", 900.0))


def _nobody(settings: Settings) -> None:
    _edit(settings, "peers", _one("peers_count", None))


def _too_few(settings: Settings) -> None:
    _edit(settings, "peers", _one("peers_count", 3))


def _other_value(settings: Settings) -> None:
    _edit(settings, "preferences", lambda rows: rows.with_columns(ratings=pl.col("ratings") + 1))


def _ahead(settings: Settings) -> None:
    later = pl.col("event_timestamp") + pl.duration(days=3)
    _edit(settings, "behaviour", lambda rows: rows.with_columns(smoking_time=later))


def _other_version(settings: Settings) -> None:
    path = settings.features / "labs" / f"{MIDDLE}.parquet"
    table = pq.read_table(path)
    stated = json.loads(table.schema.metadata[b"pmlm"]) | {"definition": "of another model"}
    pq.write_table(table.replace_schema_metadata({b"pmlm": json.dumps(stated).encode()}), path)


def _not_taken_in(settings: Settings) -> None:
    uncommitted(settings, LAST, patients(seed=5, pairs=1), "z")
    entry = records_ledger.read_entry(settings, LAST)
    assert entry is not None
    entry.batches.append(f"{LAST}-z.parquet")
    records_ledger.write_entry(settings, entry)


def _lost(settings: Settings) -> None:
    (settings.events / f"{MIDDLE}-a.parquet").unlink()


def _forgotten(settings: Settings) -> None:
    """The features were made of a batch that the log has no more."""
    forget(settings, MIDDLE)


def _stated_but_not_built(settings: Settings) -> None:
    """A file that states a batch known after its night, as earlier versions wrote: its rows lack the batch."""
    for group in find_groups():
        earlier, later = (settings.features / group / f"{night}.parquet" for night in (MIDDLE, LAST))
        table, swallowed = pq.read_table(earlier), json.loads(pq.read_schema(later).metadata[b"pmlm"])["events"]
        stated = json.loads(table.schema.metadata[b"pmlm"])
        stated["events"] += swallowed
        pq.write_table(table.replace_schema_metadata({b"pmlm": json.dumps(stated).encode()}), earlier)
        later.unlink()


def _days_left_out(settings: Settings) -> None:
    _edit(settings, "labs", lambda rows: rows[: len(rows) // 2])


def _old(settings: Settings) -> None:
    clock = settings.workspace / "clock.json"
    write_json(clock, {"as_of": read_json(clock)["as_of"].replace("2026", "2027")})


def _not_online(settings: Settings) -> None:
    (settings.feast / "materialised.json").unlink()


def _other_online(settings: Settings) -> None:
    with sqlite3.connect(settings.feast / "online.db") as connection:
        connection.execute("delete from pmlm_labs where rowid % 2")
        connection.execute("delete from pmlm_demographics where feature_name = 'language'")


def _broken_online(settings: Settings) -> None:
    (settings.feast / "online.db").write_bytes(b"no database" * 999)


@pytest.mark.parametrize(
    ("damage", "noticed"),
    [
        (_impossible, "possible"),
        (_nobody, "possible"),
        (_too_few, "peers in company"),
        (_other_value, "files equal the event log"),
        (_ahead, "not ahead of their time"),
        (_other_version, "one version"),
        (_not_taken_in, "complete"),
        (_lost, "complete"),
        (_forgotten, "complete"),
        (_stated_but_not_built, "complete"),
        (_days_left_out, "every changed day has its row"),
        (_old, "fresh records"),
        (_not_online, "online store is up to date"),
        (_other_online, "online equals offline"),
        (_broken_online, "online equals offline"),
    ],
)
def test_each_damage_is_noticed_by_its_check(
    settings: Settings, damage: Callable[[Settings], None], noticed: str
) -> None:
    damage(settings)
    code, found = checks(settings)
    assert code == 1
    assert not found[noticed]


def test_before_the_first_build_every_command_says_what_to_do(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    for words in (["verify"], ["catalogue"], ["diff", "2026-01-01", "2026-01-02"], ["show", "nobody"]):
        with pytest.raises(Exception, match=r"pmlm features build|no drop of|no features of"):
            CliRunner().invoke(
                app, ["features", *words], env={"PMLM_HOME": str(settings.home), "PMLM_DROPS": str(settings.drops)},
                catch_exceptions=False,
            )  # fmt: skip


def test_diff_counts_what_changed_and_never_what_changed_for_few(sound: Settings) -> None:
    code, text = run(sound, "diff", MIDDLE, LAST, "--json")
    found = json.loads(text.splitlines()[-1])
    assert code == 0
    assert found["patients_after"] >= found["patients_before"] > 0
    for d in found["features"]:
        before, after = (_as_of(sound, d["group"], night) for night in (MIDDLE, LAST))
        both = before.join(after, on="subject_id", suffix=" after")
        assert d["changed"] == (~both[d["name"]].eq_missing(both[f"{d['name']} after"])).sum() > 0
        assert d["changed"] >= sound.k_anonymity or d["mean_after"] is None
    assert {d["name"] for d in found["features"]} <= set(list_features())
    code, text = run(sound, "diff", LAST, LAST, "--json")
    assert json.loads(text.splitlines()[-1])["features"] == []


def _as_of(settings: Settings, group: str, night: str) -> pl.DataFrame:
    rows = pl.read_parquet(settings.features / group / "*.parquet").sort("event_timestamp", "created_timestamp")
    end = pl.lit(f"{night}235959").str.to_datetime("%Y%m%d%H%M%S", time_zone="UTC")
    return rows.filter(pl.col("event_timestamp") <= end).group_by("subject_id", maintain_order=True).last()


def test_show_names_the_events_behind_what_it_shows(sound: Settings, events: list[Event]) -> None:
    subject = next(e["subject_id"] for e in events if e["kind"] == "condition")
    code, text = _show(sound, subject)
    shown = json.loads(text.splitlines()[-1])
    assert code == 0
    assert set(shown["groups"]) == set(find_groups())
    named = {source for f in shown["features"] for source in f["sources"]}
    assert named == {e["source"] for e in shown["events"]} != set()
    for event in shown["events"]:
        assert any(e["source"] == event["source"] and e["code"] == event["code"] for e in events)
    for f in shown["features"]:
        assert not f["name"].endswith(("_source", "_sources"))
        assert f["age_days"] is None or f["age_days"] >= 0


def _show(settings: Settings, subject: int) -> tuple[int, str]:
    """Show a generated subject id: the pseudonym is one-way, so the test names the id."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settings, "subject_id", lambda *_: subject)
        return run(settings, "show", "Patient/x", "--json")


def test_the_catalogue_tells_of_every_feature_and_of_no_person(sound: Settings) -> None:
    code, text = run(sound, "catalogue", "--json")
    page = Path(json.loads(text.splitlines()[-1])["page"]).read_text()
    assert code == 0
    parser = HTMLParser()
    parser.feed(page)
    for name, field in list_features().items():
        assert f"<code>{name}</code>" in page
        assert escape(field.description) in page
    assert "http" not in page  # it loads nothing from anywhere


def test_the_catalogue_names_no_word_that_few_share(settings: Settings) -> None:
    rare = "one patient's word"
    _edit(settings, "behaviour", _one("smoking", rare))
    _, text = run(settings, "catalogue", "--json")
    assert rare not in Path(json.loads(text.splitlines()[-1])["page"]).read_text()


def test_patients_are_listed_by_pseudonym_those_with_most_changes_first(sound: Settings) -> None:
    listed = list_patients(sound)
    assert listed
    assert all(one.patient.startswith("subject:") and one.pregnancy for one in listed)
    assert [len(one.why) for one in listed] == sorted((len(one.why) for one in listed), reverse=True)
    assert {one.patient for one in list_patients(sound, "no such words on record")} == set()


def test_a_listed_patient_can_be_shown(sound: Settings) -> None:
    one = list_patients(sound)[0]
    assert read_row(sound, one.patient, sound.now())["as_of"] is not None
