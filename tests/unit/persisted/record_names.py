"""Collect names of features, codes, segments, templates, rules, and values of keyed hashes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from bentos.auth.audit import client_hash, patient_hash
from feature_repo.store.services import SERVICE, find_groups, hash_schema, list_views
from models.encoder import MiniLM
from models.llm import EmbeddedLLM
from models.peers.aggregates import OUTCOMES
from models.prompt.sentences.behaviour import build_behaviour_segments
from models.prompt.sentences.peers import build_peer_segments
from models.prompt.sentences.pinned import build_pinned_segments
from models.prompt.sentences.prediction import build_prediction_segments
from models.prompt.sentences.problems import build_problem_segments
from models.prompt.sentences.signals import build_signal_segments
from models.refiner.actions import FIRST_PICK, FIRST_STYLE, PAD, STOP, UNKNOWN, Actions
from models.refiner.baselines import RankingRefiner
from models.refiner.gain_regressors import hash_text
from models.refiner.interface import STYLES
from models.reward.score_cache import hash_trial
from models.reward.terms import Trial
from models.schema import DELETED, KINDS
from models.templates import LANGUAGES, TEMPLATE_VERSION, TEMPLATES
from models.vocabulary import (
    ANSWER_CODE,
    BIRTH_CODE,
    CONCEPTS,
    CONDITION_END_CODE,
    DEATH_CODE,
    DRUG_CLASSES,
    EDD_CODE,
    LANGUAGE_CODE,
    LMP_CODE,
    MEDICATION_END_CODE,
    QUESTION_CODE,
    RATING_CODE,
    REPLY_CODE,
    SIGNALS,
    SMOKING_CODE,
    SYSTEMS,
)
from pipelines.features.build.definitions import MODELLED
from pipelines.features.engines.query import compile_group
from pipelines.night.stages import FINISH, INTAKE
from pipelines.records.log.quarantine import RETRIED_RULES
from pipelines.records.read.raw_resource import ResourceError
from pipelines.records.validate.fields import FIELDS
from pipelines.records.validate.structure import read_type, select_allowed
from pipelines.records.validate.suites import TABLES, build_suite
from pipelines.splits import GATE, TEST, TRAIN, SplitParams, assign_patient, hash_order
from pmlm.settings import load_settings
from tests.unit.models.feature_rows import EVERY_OUTCOME
from tests.unit.persisted.shapes import MOMENT, json_names

FEW = 5


def features(tmp: Path) -> list[str]:
    """Collect every feature view and feature with its type, the service and its schema hash."""
    found = [f"{view.name}.{field.name}: {field.dtype}" for view in list_views() for field in view.features]
    return [*found, f"service {SERVICE}", f"schema {hash_schema()}"]


def definitions(tmp: Path) -> list[str]:
    """Collect the hash of each SQL feature group; groups computed by models are left out."""
    return [
        f"{name} {compile_group(module).definition}" for name, module in find_groups().items() if name not in MODELLED
    ]


def codes(tmp: Path) -> list[str]:
    """Collect the vocabulary: signals, concepts, drug classes, event kinds, code systems, own codes."""
    own = {
        "answer": ANSWER_CODE, "birth": BIRTH_CODE, "condition end": CONDITION_END_CODE, "death": DEATH_CODE,
        "deleted": DELETED, "due date": EDD_CODE, "language": LANGUAGE_CODE, "last period": LMP_CODE,
        "medication end": MEDICATION_END_CODE, "question": QUESTION_CODE, "rating": RATING_CODE, "reply": REPLY_CODE,
        "smoking": SMOKING_CODE,
    }  # fmt: skip
    return [
        *(f"signal {s.name} [{s.unit}] {' '.join(s.codes)}" for s in SIGNALS),
        *(
            f"concept {c.name} {' '.join(sorted(c.codes.exact | {f'{p}*' for p in c.codes.prefixes}))}"
            for c in CONCEPTS
        ),
        *(f"drug class {name}" for name in DRUG_CLASSES),
        *(f"kind {kind}" for kind in KINDS),
        *(f"system {url} {name}" for url, name in SYSTEMS.items()),
        *(f"code of {name} {code}" for name, code in own.items()),
        *(f"peer outcome {o.name}" for o in OUTCOMES),
    ]


def segments(tmp: Path) -> list[str]:
    """Collect segment keys and kinds from full, partial and empty feature rows."""
    makers = (
        build_pinned_segments,
        build_behaviour_segments,
        build_signal_segments,
        build_problem_segments,
        partial(build_peer_segments, findings=EVERY_OUTCOME),
        build_prediction_segments,
    )
    made = [s for row in _rows() for make in makers for s in make(row, MOMENT, "en")]
    return [f"{s.key}: {s.kind}" for s in made]


def _rows() -> Iterator[dict[str, Any]]:
    """Yield feature rows that differ in which features are known."""
    yield {}
    long_ago, lately = MOMENT - timedelta(days=200), MOMENT - timedelta(days=3)
    measured: dict[str, Any] = {}
    for signal in SIGNALS:
        low, high = signal.low + signal.step, signal.low + 9 * signal.step
        measured |= {
            f"{signal.name}_latest": high, f"{signal.name}_time": lately, f"{signal.name}_source": "a1",
            f"{signal.name}_previous": low, f"{signal.name}_previous_time": long_ago,
            f"{signal.name}_mean": low, f"{signal.name}_sd": signal.step,
        }  # fmt: skip
    coming = ["observation|glucose:high", "encounter.missed|x", "condition|SNOMED//271737000"]
    behaved = {
        "visit_times": [lately, long_ago], "missed_visit_times": [lately, long_ago],
        "emergency_visit_times": [lately, long_ago], "smoking": "Smokes tobacco daily", "smoking_time": lately,
        "next_visit_events": coming, "next_visit_chances": [0.5] * len(coming), "next_visit_rates": [0.1] * len(coming),
        "model_version": "0123456789abcdef", "trajectory_time": lately, "trajectory_sources": ["a1"],
        "visit_surprise": 9.0, "peers_count": 20,
        **{f"{of}_{o.name}": 20.0 for of in ("peer", "cohort") for o in OUTCOMES},
    }  # fmt: skip
    who = {"birth": MOMENT - timedelta(days=9000), "pregnancies": 2, "miscarriages": 1}
    here = [f"SNOMED//{c.snomed[0]}" for c in CONCEPTS] + ["SNOMED//1"]
    taken = [f"{words[0]} 10 MG" for _, words in DRUG_CLASSES.values()] + ["unheard of"]
    kinds = ["allergy.medication", "allergy.food", "allergy.environment", "allergy.other"]
    listed = _listed("condition", here) | _listed("medicine", []) | _listed("allergy", kinds)
    pregnant = {"pregnancy_since": MOMENT - timedelta(days=90), "lmp": MOMENT - timedelta(days=90)}
    full = measured | behaved | who | listed | {"allergy_kinds": kinds}
    for brief in (5.0, 1.0):
        liked = {f"rating_{how}_count": 30 for how in ("brief", "detailed")}
        yield full | pregnant | liked | {"rating_brief_mean": brief, "rating_detailed_mean": 6 - brief}
    for start in range(0, len(taken), FEW):  # of many medicines a prompt lists the first
        yield _listed("medicine", taken[start : start + FEW])
    empty: dict[str, Any] = {name: [] for name in (*listed, "allergy_kinds", "visit_times", "missed_visit_times")}
    yield who | empty | {"pregnancy_ended": long_ago, "miscarriages": 0, "smoking": "Never smoked tobacco"}


def _listed(name: str, texts: list[str]) -> dict[str, Any]:
    """Return the parallel list features of recent entries, one entry a text."""
    made = [text if "//" in text else f"RXNORM//{text}" for text in texts]
    times, sources = [MOMENT - timedelta(days=3)] * len(texts), ["a1"] * len(texts)
    return {f"{name}_codes": made, f"{name}_texts": texts, f"{name}_times": times, f"{name}_sources": sources}


def templates(tmp: Path) -> list[str]:
    """Collect template keys of each language, and red flag signs with their labels."""
    found = []
    for file in sorted(TEMPLATES.glob("*/*.yaml")):
        place = file.relative_to(TEMPLATES)
        found += [f"{place} {name}" for name in json_names(yaml.safe_load(file.read_text()))]
    flags = yaml.safe_load((TEMPLATES / "red_flags.yaml").read_text())
    found += [f"red flag {sign['sign']}: {sign['label']}" for sign in flags["signs"]]
    return [*found, *(f"{language}/{TEMPLATE_VERSION}" for language in LANGUAGES)]


def edits(tmp: Path) -> list[str]:
    """Collect the edit vocabulary: each token with its id, and the special ids."""
    places = {"PAD": PAD, "STOP": STOP, "UNKNOWN": UNKNOWN, "first style": FIRST_STYLE, "first pick": FIRST_PICK}
    words = [f"{i} {word}" for i, word in enumerate(Actions(2).words)]
    return [*words, *(f"{name} {i}" for name, i in places.items()), *(f"style {s}" for s in STYLES)]


def ids(tmp: Path) -> list[str]:
    """Collect the identifiers of models, splits and stages."""
    return [
        f"encoder {MiniLM.id}", f"language model {EmbeddedLLM.id}", f"ranking {RankingRefiner.id}",
        *(f"split {split}" for split in (TRAIN, GATE, TEST)), *(f"stage {stage}" for stage in (*INTAKE, *FINISH)),
    ]  # fmt: skip


def hashes(tmp: Path) -> list[str]:
    """Collect keyed hashes of fixed values, which link old files with new ones."""
    (tmp / "drops").mkdir(exist_ok=True)
    (tmp / "drops" / "clinic.yaml").write_text("name: names\nhash_key: a public key\n")
    settings = load_settings(home=tmp / "state", drops=tmp / "drops")
    trial = Trial("prompt", "question", ("reply",), (True,))
    return [
        f"subject {settings.subject_id('Patient/a')}",
        f"pseudonym {settings.pseudonym('Answer', 'a', 'rating', '1')}",
        f"client in the audit {client_hash(settings, 'client')}",
        f"patient in the audit {patient_hash(settings, 1)}",
        f"score {hash_trial('scorer', trial).hex()}",
        f"wording {hash_text('a sentence')}",
        f"order {hash_order('a').hex()}",
        f"splits {' '.join(assign_patient(subject, SplitParams(0.25, 0.25, 0.6)) for subject in range(12))}",
    ]


def rules(tmp: Path) -> list[str]:
    """Collect quarantine rules from the suites, the waiting list and the table of fields."""
    found = {e.meta["rule"] for table in TABLES for e in build_suite(table).expectations} | set(RETRIED_RULES)
    junk: tuple[Any, ...] = (
        1,
        True,
        "",
        "x" * 5000,
        "?",
        [],
        [1],
        {},
        {"reference": "?"},
        {"coding": [{}]},
        {"code": 1},
    )
    for kind, fields in FIELDS.items():
        for check in fields.checks.values():
            found |= {rule for value in junk if (rule := _broken(check, value, "name"))}
        doubled = {name: 1 for group in fields.at_most_one for name in group} | dict.fromkeys(fields.required, 1)
        resources: tuple[Any, ...] = ({}, {"id": 1}, {"id": "?"}, {"id": "a"}, {"id": "a", **doubled})
        found |= {rule for resource in resources if (rule := _broken(select_allowed, resource, kind))}
    found.add(_broken(read_type, {}) or "")
    return [*found, *(f"suite {table}" for table in TABLES)]


def _broken(check: Any, *arguments: Any) -> str | None:
    try:
        check(*arguments)
    except ResourceError as broken:
        return broken.args[0]
    return None


FAMILIES = (features, definitions, codes, segments, templates, edits, ids, hashes, rules)
