"""Which releases and models learnt from a patient, and what the deletion of a release leaves: nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from bentos.personalizer.release import Release
from pipelines.erasure import releases
from pipelines.packaging import serving
from pmlm.settings import Settings
from pmlm.storage import write_json

ANA, EVA = 1000, 1001


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "state", drops=tmp_path / "clinic", key_dir=tmp_path / "keys")


def write_release(settings: Settings, ident: str, refiner: str, donors: list[int]) -> Path:
    folder = settings.workspace / "releases" / ident
    (folder / "ranker").mkdir(parents=True)
    save_file({"subjects": np.array(donors, dtype=np.int64)}, folder / "ranker" / "ranker.safetensors")
    content = {name: "x" for name, field in Release.model_fields.items() if field.annotation is str}
    content |= {"id": ident, "night": "20260601", "refiner": refiner}
    (folder / "release.json").write_text(json.dumps(content | {"params": {}, "episodes": None, "events": {}}))
    return folder


def test_a_release_learnt_by_its_refiner_or_by_its_ranking(settings: Settings) -> None:
    by_refiner = write_release(settings, "a", "refiner-1", [EVA])
    by_ranking = write_release(settings, "b", "refiner-2", [ANA, EVA])
    write_release(settings, "c", "refiner-2", [EVA])
    assert releases.find_releases(settings, {"refiner-1"}, frozenset({ANA})) == [by_refiner, by_ranking]


def test_a_release_pruned_to_its_papers_is_found_by_the_ranking_that_an_endpoint_began_with(settings: Settings) -> None:
    pruned = write_release(settings, "a", "refiner-2", [ANA])
    model = settings.workspace / "bentoml" / "models" / "pmlm_release" / "20260601-a"
    model.mkdir(parents=True)
    shutil.move(pruned / "ranker", model / "ranker")
    assert releases.find_releases(settings, set(), frozenset({ANA})) == [pruned]
    assert releases.find_releases(settings, set(), frozenset({EVA})) == []


def test_a_deleted_release_takes_its_bento_and_model_along(settings: Settings) -> None:
    gone, stays = write_release(settings, "a", "r", [ANA]), write_release(settings, "b", "r", [EVA])
    store = settings.workspace / "bentoml"
    for ident in ("a", "b"):
        (store / "bentos" / "pmlm" / f"20260601-{ident}").mkdir(parents=True)
        (store / "models" / "pmlm_release" / f"20260601-{ident}").mkdir(parents=True)
    releases.delete_release(settings, gone)
    assert releases.list_releases(settings) == [stays]
    assert sorted(path.name for path in store.glob("*/*/*")) == ["20260601-b", "20260601-b"]


def test_a_running_endpoints_bento_stays_as_code_and_with_the_current_releases_content(settings: Settings) -> None:
    gone, stays = write_release(settings, "a", "r", [ANA]), write_release(settings, "b", "r", [EVA])
    (stays.parent / "current").symlink_to("b")
    store = settings.workspace / "bentoml"
    code, model = store / "bentos" / "pmlm" / "20260601-a", store / "models" / "pmlm_release" / "20260601-a"
    code.mkdir(parents=True)
    shutil.copytree(gone, model)
    (model / "model.yaml").touch()
    (model / "of-the-former").touch()
    running = {"host": "127.0.0.1", "port": 1, "release": "b", "bento": "pmlm:20260601-a", "family": []}
    write_json(serving.record_path(settings), running)
    releases.delete_release(settings, gone)
    assert code.exists()
    assert not gone.exists()
    found = {str(path.relative_to(model)): path.read_bytes() for path in model.rglob("*") if path.is_file()}
    assert found == {"model.yaml": b""} | {
        str(path.relative_to(stays)): path.read_bytes() for path in stays.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(("split", "learnt"), [("train", {"refiner-1", "v1"}), ("test", {"v1"})])
def test_a_challenger_learnt_from_training_episodes_alone(tmp_path: Path, split: str, learnt: set[str]) -> None:
    pl.DataFrame({"subject_id": [ANA, EVA], "split": [split, "train"]}).write_parquet(tmp_path / "episodes.parquet")
    (tmp_path / "refiner.json").write_text('{"id": "refiner-1"}')
    (tmp_path / "current.json").write_text('{"version": "v1", "night": "20260601"}')
    listings = [{name: tmp_path / name} for name in ("episodes.parquet", "refiner.json", "current.json")]
    assert releases.find_models(*listings, frozenset({ANA})) == learnt
