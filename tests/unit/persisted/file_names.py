"""Collect the names in a workspace's files, by writing each file with its own code."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bentos.auth.audit import RequestAudit
from bentos.auth.audit import folder as audit_folder
from bentos.auth.audit import write as write_access
from bentos.auth.audit_chain import head_path
from bentos.http.examples import OPERATIONS
from bentos.personalizer.explanations import Explanations
from bentos.personalizer.feedback_store import FeedbackStore
from bentos.personalizer.interaction_log import Interaction
from bentos.personalizer.release import Release
from models.feedback import Feedback
from models.patient.forecaster import Forecaster, save_forecaster
from models.patient.trajectory import TrajectoryConfig, TrajectoryModel, Vocabulary
from models.peers.outcome_estimates import FILE as PEER_OUTCOMES
from models.peers.outcome_estimates import OutcomeFinding, save_findings
from models.peers.recommendation import Reply, fit_recommender
from models.prompt.ranker_file import ARRAYS as RANKER_ARRAYS
from models.prompt.ranker_file import DESCRIPTION as RANKER
from models.prompt.ranker_file import save_ranker
from models.prompt.ranking import Ranker
from models.refiner.checkpoint import DESCRIPTION, WEIGHTS, Provenance, save_gain_refiner, save_ranking
from models.refiner.checkpoint import save_policy as save_policy
from models.refiner.gain_regressors import FixedGainModel, GainRefiner, RidgeGainModel, TableGainModel
from models.refiner.interface import Caps
from models.refiner.policy import Policy
from models.refiner.policy_config import PolicyConfig
from models.reward.score_cache import SCHEMA as SCORES
from models.safety.triage.classifier import WEIGHTS as CLASSIFIER
from models.schema import EVENT_SCHEMA, Segment
from pipelines.episodes.episode_file import SCHEMA as EPISODES
from pipelines.episodes.episode_file import episodes_path as episodes_path
from pipelines.episodes.peer_outcomes import findings_path
from pipelines.episodes.recommend import ranker_folder
from pipelines.evaluation.nightly.looks import count_looks, looks_path
from pipelines.evaluation.nightly.metrics import MetricRow as EvaluationRow
from pipelines.evaluation.nightly.verdict import SAFETY, decide
from pipelines.features.engines.feature_files import METADATA_KEY, NightFile, open_writer
from pipelines.features.engines.feature_files import FileOrigin as FeatureOrigin
from pipelines.features.trajectory.model_store import CURRENT, install_model
from pipelines.features.trajectory.model_store import model_folder as trajectory_folder
from pipelines.monitoring.column_tests import ColumnComparison
from pipelines.monitoring.verdicts import FamilyVerdict
from pipelines.params import GateParams
from pipelines.records.log.ledger import LedgerEntry as TakenIn
from pipelines.records.log.ledger import folder as ledger_folder
from pipelines.records.log.ledger import read_entries as ledger_entries
from pipelines.records.log.ledger import write_entry as write_ledger
from pipelines.records.log.quarantine import QuarantineRow as QuarantineRow
from pipelines.records.log.quarantine import write_row as put_row
from pipelines.runs import stage_run, summary_path
from pipelines.training.champion import RECORD, ensure_champion, registry_folder
from pipelines.training.champion import champion_folder as champion_path
from pipelines.training.champion_history import history_path
from pipelines.training.rewards import cache_path
from pipelines.training.train import TrainingMetrics, round_metrics
from pmlm.api_types import AnswerResponse
from pmlm.settings import Manifest, Settings, load_settings
from pmlm.workspace_lock import owner_path
from tests.unit.persisted.shapes import (
    column_names,
    example,
    json_names,
    line_names,
    model_names,
    names_in,
    tensor_names,
)

NIGHT = "20260601"
ORIGIN = Provenance("encoder", "template", "service", "schema")


def clinic(tmp: Path) -> Settings:
    """Return the settings of a clinic without records, below ``tmp``."""
    (tmp / "drops").mkdir(exist_ok=True)
    (tmp / "drops" / "clinic.yaml").write_text("name: names\nhash_key: a public key\n")
    return load_settings(home=tmp / "state", drops=tmp / "drops", key_dir=tmp / "keys")


def policy(tmp: Path) -> list[str]:
    """Collect the trained policy's tensors and description."""
    save_policy(tmp / "policy", Policy(PolicyConfig()), ORIGIN)
    return [*tensor_names(tmp / "policy" / WEIGHTS), *names_in(tmp / "policy" / DESCRIPTION, f"{DESCRIPTION} ")]


def ranking(tmp: Path) -> list[str]:
    """Collect the ranking's description."""
    save_ranking(tmp / "ranking", Caps(), ORIGIN)
    return names_in(tmp / "ranking" / DESCRIPTION, f"{DESCRIPTION} ")


def ranker(tmp: Path) -> list[str]:
    """Collect the learnt ranking's arrays and description."""
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    facts, one = (Segment("a", "record", "A."),), np.ones(2, np.float32)
    fitted = fit_recommender((Reply(str(i), i, asked, one, facts, np.ones(1)) for i in range(10)), 10)
    assert fitted is not None
    save_ranker(tmp / "ranker", Ranker(fitted, (0.5,)))
    return [*tensor_names(tmp / "ranker" / RANKER_ARRAYS), *names_in(tmp / "ranker" / RANKER, f"{RANKER} ")]


def peer_outcomes(tmp: Path) -> list[str]:
    """Collect the fields of what was found of peers' outcomes."""
    save_findings(tmp, {"outcome": example(OutcomeFinding)})
    return names_in(tmp / PEER_OUTCOMES, f"{PEER_OUTCOMES} ")


def by_gain(tmp: Path) -> list[str]:
    """Collect tensors and description of each refiner that goes by predicted gains."""
    encoder = None
    gains = {
        "fixed": FixedGainModel({"a": 0.5}),
        "table": TableGainModel(np.ones((1, 2)), {(0, "a", "b"): 0.5}, {(0, "a"): 0.5}, encoder),  # type: ignore[arg-type]
        "text": RidgeGainModel(np.ones(2), 0.5, np.ones(2), np.ones(2), encoder),  # type: ignore[arg-type]
    }
    found = []
    for name, gain in gains.items():
        save_gain_refiner(tmp / name, GainRefiner("x", Caps(), "plain", gain), ORIGIN)
        described = json.loads((tmp / name / DESCRIPTION).read_text())
        found.append(f"{name} {DESCRIPTION} kind={described['kind']}")
        found += [f"{name} {n}" for n in tensor_names(tmp / name / WEIGHTS)]
        found += names_in(tmp / name / DESCRIPTION, f"{name} {DESCRIPTION} ")
    return found


def forecaster() -> Forecaster:
    """Return a trajectory model of two codes."""
    known = Vocabulary(("a", "b"), (0.5, 0.5))
    model = TrajectoryModel(TrajectoryConfig(codes=2))
    model.start_from(known.rates)
    one = np.ones(2)
    return Forecaster("", model, known, one, one, one, frozenset({"a"}), np.eye(2, 384, dtype=np.float32))


def trajectory_model(tmp: Path) -> list[str]:
    """Collect tensors and tables of the trajectory model, and the record of the current version."""
    folder = tmp / "trajectory"
    folder.mkdir()
    save_forecaster(folder, forecaster())
    found = []
    for file in sorted(folder.iterdir()):
        names = tensor_names(file) if file.suffix == ".safetensors" else names_in(file)
        found += [f"{file.name} {name}" for name in names]
    settings = clinic(tmp)
    install_model(settings, None, {})
    return [*found, *names_in(trajectory_folder(settings) / CURRENT, f"{CURRENT} ")]


def triage_classifier(tmp: Path) -> list[str]:
    """Collect tensors and metadata of the triage classifier that is shipped."""
    return list(tensor_names(CLASSIFIER))


def champion(tmp: Path) -> list[str]:
    """Collect the keys of ``champion.json``."""
    settings = clinic(tmp)
    ensure_champion(settings, NIGHT, Caps())
    return names_in(champion_path(settings) / RECORD, f"{RECORD} ")


def history(tmp: Path) -> list[str]:
    """Collect the keys of the champion's history and of the looks at the gate."""
    settings = clinic(tmp)
    ensure_champion(settings, NIGHT, Caps())
    evaluated = {"status": "done", "challenger": "b", "paired": {"patient": [0], "difference": [0.5]}}
    count_looks(settings, NIGHT, "ranking", evaluated)
    files = (history_path(settings), looks_path(settings))
    return [f"{path.relative_to(settings.workspace)} {name}" for path in files for name in line_names(path)]


def release(tmp: Path) -> list[str]:
    """Collect the fields of ``release.json``."""
    return model_names(Release)


def stage_summary(tmp: Path) -> list[str]:
    """Collect the keys of ``runs/<night>/<stage>.json``."""
    settings = clinic(tmp)
    with stage_run(settings, NIGHT, "stage"):
        pass
    return names_in(summary_path(settings, NIGHT, "stage"))


def ledger(tmp: Path) -> list[str]:
    """Collect the keys of ``data/ledger/<night>.json``."""
    settings = clinic(tmp)
    write_ledger(settings, TakenIn(NIGHT, "content"))
    assert len(ledger_entries(settings)) == 1
    return names_in(ledger_folder(settings) / f"{NIGHT}.json")


def feature_file(tmp: Path) -> list[str]:
    """Collect a feature file's metadata keys and the creation timestamp of its rows."""
    origin = FeatureOrigin(NIGHT, ("a.parquet",), "definition", 1)
    table = pa.table({"x": [1]})
    with open_writer(NightFile(tmp / "group", origin, ("x",)), table.schema) as writer:
        writer.write_table(table)
    stated = json.loads(pq.read_schema(tmp / "group" / f"{NIGHT}.parquet").metadata[METADATA_KEY])
    names = (f"{METADATA_KEY.decode()} {name}" for name in json_names(stated))
    return [*names, f"created {origin.created.isoformat()}"]


def manifest(tmp: Path) -> list[str]:
    """Collect the fields of ``clinic.yaml``."""
    return model_names(Manifest)


def metrics(tmp: Path) -> list[str]:
    """Collect the keys of ``metrics/*.json``: evaluation rows, training report, gate decision."""
    params = GateParams(confidence=0.95, bootstrap=10, minimum_episodes=1, minimum_patients=1)
    faced = ensure_champion(clinic(tmp), NIGHT, Caps())
    done = {
        "status": "done", "challenger": "b", "champion": faced.id, "why": "",
        "paired": {"patient": [0, 1], "difference": [0.5, 0.5]}, "seeds": [0.5],
        "slices": [{"slice": "age unknown", "n": 2, "patients": 2, "difference": 0.5, "p_no_worse": 1.0}],
        "safety": {name: {"challenger": 1.0, "champion": 1.0} for name in SAFETY},
    }  # fmt: skip
    decisions = [decide(evaluated, faced, 1, params) for evaluated in (done, done | {"status": "hold"})]
    return [
        *(f"evaluation.json rows[].{name}" for name in json_names(example(EvaluationRow).json())),
        *(f"train.json {name}" for name in json_names(round_metrics(TrainingMetrics("fresh", 0, 0)))),
        *(f"gate.json {name}" for decision in decisions for name in json_names(decision)),
        *(f"gate.json decision={decision['decision']}" for decision in decisions),
    ]


def interactions(tmp: Path) -> list[str]:
    """Collect the keys of an interaction log line; readers rely on the id being first."""
    return [*model_names(Interaction), f"first: {next(iter(Interaction.model_fields))}"]


def feedback(tmp: Path) -> list[str]:
    """Collect the keys of a feedback line and of the raw text file."""
    settings = clinic(tmp)
    FeedbackStore(settings).append([example(Feedback)], {"question": "a question"})
    (line,), (words,) = settings.workspace.glob("feedback/*.jsonl"), settings.quarantine.glob("*/*.json")
    return [*line_names(line), *names_in(words, f"{words.parent.relative_to(settings.workspace)} ")]


def explanations(tmp: Path) -> list[str]:
    """Collect the columns of ``explanations.db`` and the keys of its JSON column."""
    settings = clinic(tmp)
    answer = AnswerResponse.model_validate(OPERATIONS["post", "/answer"][1])
    Explanations(settings).add(1, "/answer", answer)
    with sqlite3.connect(settings.workspace / "explanations.db") as database:
        tables = [table for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [
            (t, *c) for t in tables for c in database.execute(f"SELECT name, type FROM pragma_table_info('{t}')")
        ]
        (row,) = database.execute(f"SELECT * FROM {tables[0]}").fetchall()
    found = [f"{table}.{name}: {kind}" for table, name, kind in columns]
    texts = [(name, value) for (_, name, _), value in zip(columns, row, strict=True) if str(value).startswith("{")]
    return [*found, *(name for column, text in texts for name in json_names(json.loads(text), column))]


def audit(tmp: Path) -> list[str]:
    """Collect the keys of an audit log line."""
    settings = clinic(tmp)
    write_access(settings, RequestAudit("/answer", "client", [1]), 200)
    (file,) = audit_folder(settings).iterdir()
    return line_names(file)


def quarantine(tmp: Path) -> list[str]:
    """Collect the keys of a quarantined row."""
    with (tmp / "rows.jsonl").open("wb") as stream:
        put_row(stream, example(QuarantineRow))
    return line_names(tmp / "rows.jsonl")


def drift(tmp: Path) -> list[str]:
    """Collect the keys of a drift verdict in ``reports/drift/<night>.json``."""
    compared = [f"compared[].{name}" for name in json_names(asdict(example(ColumnComparison)))]
    return [*json_names(example(FamilyVerdict).as_json()), *compared]


def tables(tmp: Path) -> list[str]:
    """Collect the columns of the Parquet files: events, episodes, scores."""
    schemas = {"events": EVENT_SCHEMA, "episodes": EPISODES, "scores": SCORES}
    return [f"{name}.{column}" for name, schema in schemas.items() for column in column_names(schema)]


def places(tmp: Path) -> list[str]:
    """Collect the relative paths of the workspace's files and folders."""
    settings = clinic(tmp)
    found = [value for name in dir(Settings) if isinstance(value := _property(settings, name), Path)]
    found += [
        audit_folder(settings), cache_path(settings), champion_path(settings) / RECORD, episodes_path(settings),
        ledger_folder(settings), registry_folder(settings, "id"), summary_path(settings, NIGHT, "stage"),
        trajectory_folder(settings) / CURRENT, champion_path(settings) / DESCRIPTION, champion_path(settings) / WEIGHTS,
        head_path(settings), owner_path(settings), ranker_folder(settings),
        findings_path(settings),
    ]  # fmt: skip
    return [str(path.relative_to(settings.home)) for path in found if path.is_relative_to(settings.home)]


def _property(settings: Settings, name: str) -> object:
    return getattr(settings, name) if isinstance(getattr(Settings, name, None), property) else None


FAMILIES = (
    policy, ranking, ranker, peer_outcomes, by_gain, trajectory_model, triage_classifier, champion, history, release,
    stage_summary, ledger, feature_file, manifest, metrics, interactions, feedback, explanations, audit, quarantine,
    drift, tables, places,
)  # fmt: skip
