"""Check that a workspace made by an earlier version is used, and rebuilds only what has changed meaning.

``tests/data/upgrade/make_workspace.py`` made it with the commit that ``workspace.json`` names: two nights, a trained
champion, a trajectory model, peers, questions and feedback.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections import Counter
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bentos.auth import audit
from bentos.auth.principal import Principal
from bentos.personalizer import release as releases
from bentos.personalizer.explanations import Explanations
from bentos.personalizer.interaction_log import Interaction
from bentos.personalizer.personalizer import Personalizer
from feature_repo.store.services import find_groups
from models import feedback
from models.encoder import MiniLM
from models.llm import unpack_embedded_llm
from models.refiner import checkpoint
from models.schema import EditProgram
from pipelines import splits
from pipelines.episodes import episode_file
from pipelines.features.build import stage as features
from pipelines.features.inspect.show import read_row
from pipelines.features.online import materialise
from pipelines.features.trajectory import stage as trajectory
from pipelines.features.trajectory.model_store import read_version as trajectory_version
from pipelines.night import saved_nights
from pipelines.packaging import release as packaging
from pipelines.packaging import serving
from pipelines.params import load_params
from pipelines.records import stage as records
from pipelines.records.log import ledger, quarantine
from pipelines.runs import read_summaries
from pipelines.training import champion, rewards, train
from pipelines.training.provenance import current_provenance
from pmlm.api_types import PersonalizeRequest
from pmlm.errors import FeaturesError, ServingError
from pmlm.settings import Settings, load_settings

pytestmark = pytest.mark.slow

MADE = Path(__file__).parents[1] / "data" / "upgrade"
FACTS: dict[str, Any] = json.loads((MADE / "workspace.json").read_text())
NIGHTS: list[str] = FACTS["nights"]
TO_COME = FACTS["to_come"][0].replace("-", "")
FOR_EVER = 36_500  # days: what is retained depends on the settings, not on when this test runs
#: Groups whose definition has changed since: statements of pregnancy, bounds of values, suspicions, currency.
REBUILT = frozenset({"labs", "medicines", "pregnancy", "problems", "scores", "vitals", "peers"})
State = dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the unpacked archive; read-only for all tests."""
    root = tmp_path_factory.mktemp("upgrade")
    with tarfile.open(MADE / "workspace.tar.xz") as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.fixture
def clinic(unpacked: Path, tmp_path: Path) -> Settings:
    """Return the settings of a fresh copy of the clinic, for one test."""
    root = tmp_path / "clinic"
    shutil.copytree(unpacked, root, symlinks=True)
    settings = load_settings(
        home=root / "state",
        drops=root / "drops",
        key_dir=root / "keys",
        explanation_days=FOR_EVER,
        feedback_days=FOR_EVER,
    )
    settings.embedded_llm.symlink_to(unpack_embedded_llm(load_settings().embedded_llm))
    return settings


def _state(folder: Path) -> State:
    """Return each file below a folder with its modification time and content hash."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, sha256(file.read_bytes()).hexdigest())
        for file in files
    }


def _lines(folder: Path) -> list[str]:
    return [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def _groups(before: State, after: State) -> set[str]:
    """The feature groups of which a file was changed or added."""
    return {name.partition("/")[0] for name, state in after.items() if before.get(name) != state}


def test_features_of_an_earlier_version_are_named_as_such(clinic: Settings) -> None:
    with pytest.raises(FeaturesError, match="run `pmlm features build`"):
        read_row(clinic, "anyone", clinic.now())


def test_only_groups_that_changed_meaning_are_rebuilt_and_only_once(clinic: Settings) -> None:
    before, models = _state(clinic.features), _state(clinic.models)
    assert trajectory.run(clinic, NIGHTS[-1]).status == "noop"
    assert features.run(clinic, NIGHTS[-1]).status == "done"
    built = _state(clinic.features)
    assert _groups(before, built) == REBUILT
    assert materialise.run(clinic, NIGHTS[-1]).status == "done"
    for stage in (trajectory, features, materialise):
        summary = stage.run(clinic, NIGHTS[-1])
        assert summary.status == "noop", (summary.stage, summary.detail)
    assert _state(clinic.features) == built
    assert _state(clinic.models) == models


def test_the_next_drop_adds_one_file_a_group_and_touches_no_other(clinic: Settings) -> None:
    features.run(clinic, NIGHTS[-1])
    materialise.run(clinic, NIGHTS[-1])
    events, built = _state(clinic.events), _state(clinic.features)
    model = trajectory_version(clinic)
    shutil.move(clinic.drops.parent / "to_come" / FACTS["to_come"][0], clinic.drops)
    taken_in, model_of, made = (stage.run(clinic, TO_COME) for stage in (records, trajectory, features))
    assert taken_in.rows_out > 0
    assert taken_in.figures["feedback"]["ratings"] > 0
    assert model_of.status == "noop"
    assert trajectory_version(clinic) == model == FACTS["trajectory"]
    assert made.status == "done"
    after = _state(clinic.features)
    assert set(after) - set(built) == {f"{group}/{TO_COME}.parquet" for group in find_groups()}
    assert {name: state for name, state in after.items() if name in built} == built
    assert {name: state for name, state in _state(clinic.events).items() if name in events} == events
    served = materialise.run(clinic, TO_COME)
    assert served.rows_in == len(find_groups()), "the whole online store was rewritten"


def test_a_patient_of_the_next_drop_keeps_their_subject_id(clinic: Settings) -> None:
    shutil.move(clinic.drops.parent / "to_come" / FACTS["to_come"][0], clinic.drops)
    records.run(clinic, TO_COME)
    accounts = {entry.night: entry.accounts for entry in ledger.read_entries(clinic)}
    assert list(accounts) == [*NIGHTS, TO_COME]
    assert accounts[TO_COME].accepted > 0
    assert "unknown_patient" not in accounts[TO_COME].by_rule


def test_the_champion_is_served_as_the_same_refiner(clinic: Settings) -> None:
    now = champion.read_champion(clinic)
    assert now is not None
    assert (now.id, now.kind, now.since) == (FACTS["champion"], "policy", FACTS["champion_since"])
    assert checkpoint.load_refiner(champion.champion_folder(clinic), MiniLM()).id == now.id
    served = releases.read_release(serving.current_release(clinic))
    assert served.refiner == now.id
    assert checkpoint.load_refiner(serving.current_release(clinic) / releases.REFINER, MiniLM()).id == now.id


def test_a_champion_of_fewer_features_stays_and_the_next_training_starts_anew(clinic: Settings) -> None:
    incumbent = champion.find_incumbent(clinic, TO_COME)
    assert incumbent is not None
    assert incumbent.id == FACTS["champion"]
    assert train.load_starting_policy(clinic, TO_COME, load_params(clinic)) is None
    origin = checkpoint.read_description(champion.champion_folder(clinic))["origin"]
    assert origin["feature_schema"] != current_provenance().feature_schema


def test_a_prompt_in_new_words_is_scored_once_and_never_again(clinic: Settings) -> None:
    """The template's version changed since: the earlier prompts' scores are of other words."""
    measured = [e for e in episode_file.read_episodes(clinic) if e.split in (splits.GATE, splits.TEST)]
    refiner = checkpoint.load_refiner(champion.champion_folder(clinic), MiniLM())
    cases = [(e, EditProgram(())) for e in measured] + [(e, refiner.refine(e.question, e.segments)) for e in measured]

    def count_misses() -> int:
        with rewards.open_rewards(clinic, load_params(clinic).train.token_price) as reward:
            reward.outcomes(cases)
            return int(reward.scorer.cache.misses)  # type: ignore[attr-defined]

    assert count_misses() > 0
    assert count_misses() == 0


def test_a_release_of_fewer_features_is_refused_until_it_is_packaged_again(clinic: Settings) -> None:
    with pytest.raises(ServingError, match="run `pmlm package`"):
        Personalizer.open(clinic, serving.current_release(clinic))


def test_a_question_asked_before_is_answered_by_the_same_refiner(clinic: Settings) -> None:
    logged = [Interaction.model_validate_json(line) for line in _lines(clinic.workspace / "interactions")]
    last = [one for one in logged if one.versions.release == releases.read_release(serving.current_release(clinic)).id]
    questions = {
        clinic.pseudonym("question", e.question.strip()): e.question for e in episode_file.read_episodes(clinic)
    }
    for stage in (features, materialise):
        stage.run(clinic, NIGHTS[-1])
    folder = packaging.write_release(clinic, packaging.compose_release(clinic, NIGHTS[-1]))
    packaging.point_link(serving.current_release(clinic), folder)
    everyone = Principal("client", frozenset(), None)
    assert last
    with closing(Personalizer.open(clinic, serving.current_release(clinic))) as personalizer:
        for one in last:
            found = Explanations(clinic).find(one.id)
            assert found is not None
            subject, before = found
            assert one.patient == clinic.pseudonym("interaction", str(subject))
            again = personalizer.personalize(
                everyone, PersonalizeRequest(patient=f"subject:{subject}", question=questions[one.question])
            )
            assert again.versions.refiner == before.versions.refiner == FACTS["champion"]
            kept = [s.text for s in again.segments if s.kept]
            assert kept
            assert all(text in again.prompt for text in kept)


def test_what_the_endpoint_wrote_is_still_read(clinic: Settings) -> None:
    interactions = [Interaction.model_validate_json(line) for line in _lines(clinic.workspace / "interactions")]
    assert len(interactions) == 2 * len(NIGHTS)
    explained = [Explanations(clinic).find(one.id) for one in interactions]
    assert all(found and found[1].id == one.id for found, one in zip(explained, interactions, strict=True))
    signals = [feedback.parse_feedback(line) for line in _lines(clinic.workspace / "feedback")]
    assert {one.answer for one in signals} == {one.id for one in interactions}
    assert Counter(one.kind for one in signals) == dict.fromkeys(("rating", "comment", "thumbs"), len(NIGHTS))
    subjects = {found[0] for found in explained if found}
    accesses = [list(audit.read(clinic, subject)) for subject in subjects]
    assert all(Counter(a.route for a in of_patient)["/answer"] == len(NIGHTS) for of_patient in accesses)


def test_what_the_nights_wrote_is_still_read(clinic: Settings) -> None:
    entries = ledger.read_entries(clinic)
    assert [entry.night for entry in entries] == NIGHTS
    assert len(list(quarantine.read_rows(clinic))) == sum(e.accounts.quarantined for e in entries) > 0
    assert all(len(read_summaries(clinic, night)) > 8 for night in NIGHTS)
    assert episode_file.read_episodes(clinic)


def test_the_saved_nights_are_still_listed(clinic: Settings) -> None:
    listed = [
        night.night for night in saved_nights.list_saved_nights(clinic)
    ]  # their files are in DVC's cache, which is left out
    assert listed == NIGHTS
