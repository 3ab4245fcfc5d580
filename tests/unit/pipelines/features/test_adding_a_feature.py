"""Adding a feature is adding one file: found, computed for all history, served."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_repo import groups
from feature_repo.store import online, services
from pipelines.features.build import stage
from pipelines.features.inspect import verify
from pipelines.features.online import materialise
from pmlm.errors import FeaturesError
from pmlm.settings import PROJECT, Settings
from tests.unit.pipelines.features.built import FIRST, LAST, clinic, group_rows, patients, write_batch

ONE_FILE = '''
"""Procedures: how many are on record."""

from datetime import timedelta

from feast import FeatureView, Field, FileSource
from feast.types import Int64

from feature_repo.entities import subject
from feature_repo.point_in_time import KEY, join_to_moments, select_known


def expression(events, moments):
    known = select_known(events, moments, "procedure")
    return join_to_moments(moments, known.group_by(*KEY).aggregate(procedures=known.record.count()))


source = FileSource(
    name="{name}",
    path="data/features/{name}/*.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

view = FeatureView(
    name="{name}",
    entities=[subject],
    ttl=timedelta(0),
    schema=[Field(name="{feature}", dtype=Int64, description="procedures on record")],
    source=source,
)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder whose modules are feature groups during the test."""
    added = tmp_path / "added"
    added.mkdir()
    monkeypatch.setattr(groups, "__path__", [*groups.__path__, str(added)])
    services.find_groups.cache_clear()
    yield added
    services.find_groups.cache_clear()


@pytest.fixture(scope="module")
def built_before(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = clinic(tmp_path_factory.mktemp("before"))
    write_batch(settings, FIRST, patients(seed=3, pairs=3))
    stage.run(settings, LAST)
    materialise.run(settings, LAST)
    return settings


@pytest.fixture
def built(built_before: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(built_before.home, tmp_path / "state")
    return clinic(tmp_path)


def test_one_new_file_is_computed_over_the_whole_history_and_served(built: Settings, folder: Path) -> None:
    before = {p: p.read_bytes() for p in built.features.glob("*/*.parquet")}
    (folder / "procedures_counted.py").write_text(ONE_FILE.format(name="procedures_counted", feature="procedures"))
    services.find_groups.cache_clear()
    summary = stage.run(built, LAST)
    assert {name for name, rows in summary.figures.items() if rows} == {"procedures_counted", "peers"}
    assert len(group_rows(built, "procedures_counted")) == len(group_rows(built, "vitals"))
    assert all(p.read_bytes() == data for p, data in before.items() if p.parent.name != "peers")
    materialise.run(built, LAST)
    newest = group_rows(built, "procedures_counted").sort("event_timestamp").group_by("subject_id").last()
    for subject_id, _, procedures in newest.rows():
        row = online.read(built.feast, subject_id)
        assert row is not None
        assert row["procedures"] == procedures


def test_an_expression_that_disagrees_with_its_view_is_refused(built: Settings, folder: Path) -> None:
    (folder / "procedures_wrong.py").write_text(ONE_FILE.format(name="procedures_wrong", feature="operations"))
    services.find_groups.cache_clear()
    with pytest.raises(FeaturesError, match=r"procedures_wrong\.py.*operations.*procedures"):
        stage.run(built, LAST)


def test_the_worked_example_of_the_docs_is_one_file_and_nothing_else(built: Settings, folder: Path) -> None:
    page = (PROJECT / "docs" / "features.md").read_text()
    [(name, code)] = re.findall(r"<!-- feature_repo/groups/(\w+\.py) -->\n```python\n(.*?)```", page, re.S)
    (folder / name).write_text(code)
    services.find_groups.cache_clear()
    stage.run(built, LAST)
    materialise.run(built, LAST)
    for subject_id, _, procedures, last in group_rows(built, "procedures").group_by("subject_id").last().rows():
        row = online.read(built.feast, subject_id)
        assert row is not None
        assert (row["procedures"], row["last_procedure"]) == (procedures, last)
    assert group_rows(built, "procedures")["procedures"].max() == 1
    failed = {c.name for c in verify.verify(built, 100, max_age_days=1e6) if not c.holds}
    assert failed <= {"possible"}  # generated values of the other groups come from one pool for every signal


def test_a_model_trained_on_other_features_sees_another_schema(folder: Path) -> None:
    before = services.hash_schema()
    (folder / "procedures_hashed.py").write_text(ONE_FILE.format(name="procedures_hashed", feature="procedures"))
    services.find_groups.cache_clear()
    assert services.hash_schema() != before
