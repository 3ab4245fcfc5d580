"""A person promotes what waits and rolls back: name and reason stored, the right release served, history whole."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from bentos.personalizer.release import read_release
from models.refiner import checkpoint
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from pipelines.evaluation.nightly import change_plan
from pipelines.night import champion_tags
from pipelines.night.decisions import promotions
from pipelines.packaging import release_list, serving
from pipelines.training import champion
from pipelines.training.champion_history import read_history
from pipelines.training.provenance import current_provenance
from pmlm.errors import ChangePlanError, ServingError, TrainingError
from pmlm.settings import Settings, load_settings
from tests.contract.three_women import NIGHT

SECONDS = 60  # of a rollback on a busy machine; it moves a link and tags


@pytest.fixture(scope="module")
def clinic(packaged: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The clinic with a challenger that waits; its first champion is served."""
    root = tmp_path_factory.mktemp("promotions")
    shutil.copytree(packaged.home, root / "state", symlinks=True)
    shutil.copytree(packaged.drops, root / "drops")
    settings = load_settings(home=root / "state", drops=root / "drops", key_dir=packaged.key_dir)
    champion.ensure_champion(settings, NIGHT, Caps())
    checkpoint.save_policy(root / "new", Policy(PolicyConfig()), current_provenance())
    challenger = checkpoint.read_description(root / "new")["id"]
    judged = {"night": NIGHT, "champion": "ranking", "challenger": challenger, "why": "better, but outside the plan"}
    champion.store_waiting(settings, root / "new", judged)
    return settings


@pytest.mark.parametrize(("by", "why"), [("", "reviewed"), ("Dr Lin", " ")])
def test_a_promotion_needs_a_name_and_a_reason(clinic: Settings, by: str, why: str) -> None:
    with pytest.raises(TrainingError, match="a name and a reason"):
        promotions.promote_waiting(clinic, by, why)
    assert champion.read_waiting(clinic)


def test_without_a_valid_plan_not_even_a_person_promotes(clinic: Settings) -> None:
    plan = clinic.drops / change_plan.FILE
    plan.write_text("version: 1\n")
    try:
        with pytest.raises(ChangePlanError, match="nothing is promoted"):
            promotions.promote_waiting(clinic, "Dr Lin", "reviewed")
    finally:
        plan.unlink()
    assert champion.read_champion(clinic).id == "ranking"


def test_a_person_promotes_and_rolls_back_and_both_are_on_record(clinic: Settings) -> None:
    former = serving.current_release(clinic).resolve()
    promoted = promotions.promote_waiting(clinic, "Dr Lin", "reviewed on 20 cases")
    change = read_history(clinic)[-1]
    assert (change.by, change.before, change.after, change.version) == ("Dr Lin", "ranking", promoted.id, "v2.0.0")
    assert change.why.startswith("reviewed on 20 cases")
    assert champion.read_waiting(clinic) is None
    assert read_release(serving.current_release(clinic)).refiner == promoted.id
    with pytest.raises(TrainingError, match="no challenger waits"):
        promotions.promote_waiting(clinic, "Dr Lin", "again")

    found = release_list.list_releases(clinic)
    assert [(one.refiner_version, one.current) for one in found] == [("v1.0.0", False), ("v2.0.0", True)]
    compared = release_list.compare_releases(former, release_list.find_release(clinic, "v2.0.0"))
    assert compared["schema"] == {"refiner": ["ranking", promoted.id], "refiner_kind": ["ranking", "policy"]}
    assert compared["prompts"]
    assert compared["params"] == {}
    with pytest.raises(ServingError, match="no release v9"):
        release_list.find_release(clinic, "v9")

    started = time.monotonic()
    promotions.roll_back(clinic, "v1.0.0", "Dr Lin", "prompts too short")
    assert time.monotonic() - started < SECONDS
    assert serving.current_release(clinic).resolve() == former
    assert read_history(clinic)[-1].action == "rollback"
    assert champion.read_champion(clinic).refused == (promoted.id,)
    assert {"refiner@v1.0.0", "refiner@v2.0.0", "refiner#production#3"} <= set(champion_tags.list_tags(clinic))
    assert [*release_list.find_damage(clinic), *champion_tags.find_history_damage(clinic)] == []
    _change_a_byte(former / "refiner" / "refiner.json")
    assert "refiner/refiner.json is changed" in next(release_list.find_damage(clinic))


def _change_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b" ")
