"""Definitions change exactly when rows do, and earlier versions' files remain valid."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.features.build import stage
from pipelines.features.build.definitions import define_groups
from pipelines.features.engines import feature_files
from pipelines.features.engines.feature_files import METADATA_KEY, plan_group, read_origins
from pipelines.features.inspect.verify import _check_definitions
from pipelines.features.trajectory import model_store
from pipelines.records.log.event_log import find_known_nights
from pmlm.settings import Settings
from pmlm.storage import hash_files, write_json
from tests.unit.pipelines.features import golden_rows
from tests.unit.pipelines.features.built import FIRST, clinic, known_on, night_of, patients, write_batch

NIGHTS = [FIRST, night_of(6)]
HASH = "0123456789abcdef"  # of texts that are gone
MODEL, OTHER_MODEL = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"


@pytest.mark.parametrize("group", ["peers", "trajectory"])
def test_rows_change_only_with_their_revision(group: str) -> None:
    revision, rows = golden_rows.read(group)
    made = json.loads(json.dumps(golden_rows.MAKERS[group]()))
    name = f"{group.upper()}_REVISION"
    assert made == rows, f"raise {name}, then run `python -m tests.unit.pipelines.features.golden_rows`"
    assert revision == golden_rows.REVISIONS[group], f"{name} was raised: keep the new rows (see golden_rows)"


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a clinic of two nights without a trajectory model."""
    settings = clinic(tmp_path_factory.mktemp("today"))
    events = patients(seed=3, pairs=3)
    for before, night in zip([None, *NIGHTS[:-1]], NIGHTS, strict=True):
        write_batch(settings, night, known_on(events, before, night))
        stage.run(settings, night)
    return settings


@pytest.fixture
def earlier(today: Settings, tmp_path: Path) -> Settings:
    """Return a copy of it whose trajectory files state a hash of source text."""
    shutil.copytree(today.home, tmp_path / "state")
    settings = clinic(tmp_path)
    for path in (settings.features / "trajectory").glob("*.parquet"):
        _restate(path, HASH)
    return settings


def _restate(path: Path, definition: str, model: str | None = None) -> None:
    """Rewrite a file with another definition, and rows of another model if given."""
    table = pq.read_table(path)
    stated = json.loads(table.schema.metadata[METADATA_KEY]) | {"definition": definition}
    if model:
        place = table.schema.get_field_index("model_version")
        table = table.set_column(place, table.schema.field(place), [[model] * table.num_rows])
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(stated).encode()}), path)


def _batches(settings: Settings) -> dict[str, str]:
    known = find_known_nights(sorted(settings.events.glob("*.parquet")))
    return {path.name: night for path, night in known.items()}


def test_a_clinic_of_the_earlier_version_has_nothing_to_build(earlier: Settings) -> None:
    before = hash_files([earlier.features])
    assert stage.plan_groups(earlier, NIGHTS[-1], _batches(earlier)) == {}
    assert stage.run(earlier, NIGHTS[-1]).status == "noop"
    assert hash_files([earlier.features]) == before
    (check,) = _check_definitions(earlier)
    assert check.holds, check.found


def test_its_next_night_adds_one_file_beside_the_earlier_ones(earlier: Settings) -> None:
    paths = sorted((earlier.features / "peers").iterdir()) + sorted((earlier.features / "trajectory").iterdir())
    before = hash_files(paths)
    night = night_of(9)
    write_batch(earlier, night, known_on(patients(seed=3, pairs=3), NIGHTS[-1], night))
    assert stage.run(earlier, night).status == "done"
    assert hash_files(paths) == before
    assert {o.night for o in read_origins(earlier.features / "peers")} == {*NIGHTS, night}
    assert {o.definition for o in read_origins(earlier.features / "peers")} == {define_groups(earlier)["peers"]}


@pytest.mark.parametrize("setting", [{"k_anonymity": 12}, {"medicine_days": 90}, {"acute_days": 30}], ids=str)
def test_what_peers_are_chosen_by_rebuilds_those_of_the_earlier_version(
    earlier: Settings, setting: dict[str, int]
) -> None:
    settings = earlier.model_copy(update=setting)
    plans = stage.plan_groups(settings, NIGHTS[-1], _batches(settings))
    assert {name: plan.last for name, plan in plans.items()} == {"peers": None}
    assert not list((settings.features / "peers").glob("*.parquet"))


@pytest.mark.parametrize(
    ("models", "rebuilt"),
    [((MODEL, MODEL), False), ((OTHER_MODEL, OTHER_MODEL), True), ((MODEL, OTHER_MODEL), True), ((MODEL, None), True)],
)
def test_trajectory_rows_of_the_earlier_version_stay_where_they_are_of_the_model_in_use(
    earlier: Settings, models: tuple[str, str | None], rebuilt: bool
) -> None:
    write_json(model_store.model_folder(earlier) / model_store.CURRENT, {"version": MODEL})
    for path, model in zip(sorted((earlier.features / "trajectory").glob("*.parquet")), models, strict=True):
        _restate(path, HASH, model)
    assert pl.scan_parquet(earlier.features / "trajectory" / "*.parquet").collect().height
    definition = define_groups(earlier)["trajectory"]
    found = plan_group(earlier.features / "trajectory", NIGHTS[-1], definition, _batches(earlier))
    assert (found is not None) == rebuilt
    assert bool(list((earlier.features / "trajectory").glob("*.parquet"))) != rebuilt


def test_a_hash_that_no_earlier_version_stated_is_another_definition(earlier: Settings) -> None:
    _restate(earlier.features / "peers" / f"{FIRST}.parquet", HASH)
    assert {o.definition for o in feature_files.read_origins(earlier.features / "peers")} > {HASH}
    (check,) = _check_definitions(earlier)
    assert not check.holds
