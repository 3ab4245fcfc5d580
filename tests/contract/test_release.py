"""A release is whole, names all it stands on, and the served one moves in one step."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bentos.personalizer import release as releases
from feature_repo.store import services
from models.peers.recommendation import Reply, fit_recommender
from models.prompt.ranker_file import load_ranker, save_ranker
from models.prompt.ranking import FEATURES, Ranker
from models.schema import Segment
from pipelines.episodes import recommend
from pipelines.packaging import bento, release, serving
from pmlm.errors import ServingError
from pmlm.settings import Settings
from pmlm.storage import hash_files
from tests.contract.three_women import NIGHT


def test_a_release_names_champion_features_and_event_batches(settings: Settings) -> None:
    made = releases.read_release(serving.current_release(settings))
    assert (made.night, made.experiment) == (NIGHT, f"night-{NIGHT}")
    assert (made.refiner, made.refiner_kind) == ("ranking", "ranking")
    assert made.feature_schema == services.hash_schema()
    assert made.events
    for name, batch in made.events.items():
        assert batch["sha256"] == hash_files([settings.events / name])
        assert batch["drop"]
    assert made.params["train"]["pick_cap"]


def test_packaging_the_same_champion_again_gives_the_same_id_and_a_whole_bento(settings: Settings) -> None:
    before = serving.current_release(settings).resolve()
    source = bento.bento_home(settings) / "bentos" / "pmlm" / releases.read_release(before).version / "src"
    whole = _written(source)
    shutil.rmtree(source / "bentos")
    release.run(settings, NIGHT)
    assert serving.current_release(settings).resolve() == before
    assert _written(source) == whole


def test_a_release_carries_what_ranked_the_nights_episodes_and_an_earlier_one_loads_without(settings: Settings) -> None:
    fitted = fit_recommender((_reply(patient) for patient in range(10)), 10)
    assert fitted is not None
    made = recommend.ranker_folder(settings)
    try:
        saved = save_ranker(made, Ranker(fitted, (0.0,) * len(FEATURES)))
        composed = release.compose_release(settings, "20260603")
        folder = release.write_release(settings, composed)
    finally:
        shutil.rmtree(made)
    loaded = load_ranker(folder / releases.RANKER)
    assert loaded is not None
    assert saved == composed.ranker == loaded.id
    shutil.rmtree(folder)
    earlier = composed.model_dump()
    del earlier["ranker"]
    assert releases.Release.model_validate(earlier).ranker is None
    assert load_ranker(folder / releases.RANKER) is None


def _reply(patient: int) -> Reply:
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    return Reply(str(patient), patient, asked, np.ones(2), (Segment("smoking", "record", "Smokes."),), np.ones(1))


def _written(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but those in which Python keeps what it compiled, once the bento has served."""
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_a_killed_run_leaves_the_served_release_as_it_was(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = serving.current_release(settings).resolve()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bento, "run_bento_build", killed)
    with pytest.raises(KeyboardInterrupt):
        release.run(settings, "20260602")
    assert serving.current_release(settings).resolve() == before


def test_old_releases_go_but_for_their_papers_and_never_the_served_one(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, drops=tmp_path / "clinic")
    link = serving.current_release(settings)
    for number in range(bento.KEEP + 3):
        folder = link.parent / f"release{number}"
        (folder / releases.REFINER).mkdir(parents=True)
        (folder / "model_card.md").write_text("papers")
        os.utime(folder, (number, number))
        if number in (0, 1):
            release.point_link(link, folder)
    for _ in range(2):
        assert link.resolve().name == "release1"
        release.prune_releases(settings)
        whole = {f.name for f in link.parent.iterdir() if not f.is_symlink() and (f / releases.REFINER).exists()}
        assert whole == {"release1", *(f"release{n}" for n in range(3, bento.KEEP + 3))}
    assert len(list(link.parent.glob("release*/model_card.md"))) == bento.KEEP + 3


def test_without_a_champion_there_is_nothing_to_package_and_nothing_to_serve(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, drops=tmp_path / "clinic")
    with pytest.raises(ServingError, match="no champion"):
        release.compose_release(settings, NIGHT)
    with pytest.raises(ServingError, match="no release"):
        serving.start_endpoint(settings, 0)
