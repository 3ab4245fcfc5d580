"""Run the fourteen nights of a plan as an operator would, and collect what each did."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fortnight import recipe
from benchmarks.fortnight.drops import FLIPPED, choose_erased, list_questions, list_ratings, write_drops
from benchmarks.fortnight.findings import NightRecord
from benchmarks.fortnight.kills import run_and_kill
from benchmarks.fortnight.plan import NIGHTS, FortnightPlan, day_of, id_of
from benchmarks.fortnight.sample import Sample, read_sample
from benchmarks.serving import servers
from bentos.auth.keys import development_token
from models.llm import unpack_embedded_llm
from pipelines.monitoring.drift import read_verdicts
from pipelines.night import night as nightly
from pipelines.night.forget import find_places, forget_patient
from pipelines.packaging import serving
from pipelines.runs import read_summaries
from pipelines.splits import TEST
from pipelines.training import champion
from pmlm.settings import PROJECT, Settings, load_settings
from pmlm.storage import read_json, write_json

LATENCY_S = 0.05  # of the stub language model
TOKEN_HOURS = 4
Report = Callable[[str], None]


@dataclass(slots=True)
class Fortnight:
    """One run: its folders, and what its nights did so far."""

    plan: FortnightPlan
    folder: Path
    sample: Sample
    erased: str
    report: Report
    records: list[NightRecord] = field(default_factory=list)
    started: dict[int, float] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """The traffic's log."""
        return self.folder / "traffic.jsonl"

    @property
    def control(self) -> Path:
        """What the traffic does now."""
        return self.folder / "traffic.json"


def open_fortnight(plan: FortnightPlan, folder: Path, report: Report) -> Fortnight:
    """Begin again in ``folder``: the sample is read, and every drop written."""
    shutil.rmtree(folder, ignore_errors=True)
    sample = read_sample(PROJECT / "examples" / "clinic")
    write_drops(sample, plan, folder / "planned")
    for drops in ("planned", "drops"):
        recipe.write_manifest(folder / drops, recipe.choose_recipe(plan, 1))
    home = folder / "state"
    home.mkdir(parents=True, mode=0o700)
    (home / ".embedded-llm").symlink_to(unpack_embedded_llm(load_settings().embedded_llm))
    return Fortnight(plan, folder, sample, f"Patient/{choose_erased(sample, plan.seed)}", report)


def run_nights(run: Fortnight) -> Settings:
    """Run all nights, under traffic from the first release on; the settings of the last."""
    with servers.stub(LATENCY_S) as model:
        settings = _read_settings(run, model)
        _run_night(run, settings, 1)
        endpoint = serving.start_endpoint(settings, 0)
        control = {"url": endpoint.url, "token": development_token(settings), "flip": 0.0}
        control |= {"questions": list_questions(run.sample), "ratings": list_ratings(run.sample)}
        try:
            with _send_traffic(run, control):
                for night in range(2, NIGHTS + 1):
                    control["flip"] = FLIPPED if night == run.plan.poisoned - 1 else 0.0
                    write_json(run.control, control)
                    settings = _read_settings(run, model)
                    _run_night(run, settings, night)
                    if night == run.plan.erasure:
                        _erase(run, settings, control)
        finally:
            serving.stop_recorded_endpoint(settings)
    return settings


def _read_settings(run: Fortnight, model: str) -> Settings:
    """The clinic's settings; read again, since its manifest changes."""
    own: dict[str, Any] = {"home": run.folder / "state", "drops": run.folder / "drops", "key_dir": run.folder / "keys"}
    return load_settings(**own, llm_base_url=model, llm_model="stub")


def _run_night(run: Fortnight, settings: Settings, night: int) -> None:
    """Bring the night's drop and run it; where it is to be killed, kill it and run it again."""
    recipe.write_manifest(settings.drops, recipe.choose_recipe(run.plan, night))
    name = day_of(night).isoformat()
    shutil.copytree(run.folder / "planned" / name, settings.drops / name)
    if night == run.plan.poisoned:
        nightly.force_training(settings, "a night of poisoned ratings", id_of(night))
    run.started[night], record = time.time(), NightRecord(night)
    for kill in run.plan.kills:
        if kill.night == night:
            record.killed_in = run_and_kill(settings, kill).stage
    nightly.run_night(settings, id_of(night))
    record.seconds = round(time.time() - run.started[night], 1)
    collect_night(settings, record)
    run.records.append(record)
    run.report(
        f"night {night:>2}  {record.seconds:6.1f} s  {f'killed in {record.killed_in}, ' if record.killed_in else ''}"
        f"{record.decision or 'no training'}: {record.decision_why or record.why}; "
        f"drift: {', '.join(f for f, v in record.drift.items() if v == 'drift') or 'none'}"
    )


def collect_night(settings: Settings, record: NightRecord) -> None:
    """Read what a night did from its own files."""
    night = id_of(record.night)
    stages = {one.stage: one for one in read_summaries(settings, night)}
    train = stages["train"]
    record.trained, record.why = train.status == "done", train.detail
    record.rows_in, record.quarantined = stages["records"].rows_in, stages["records"].quarantined
    verdicts = read_verdicts(settings, night)
    record.drift = {family: one["verdict"] for family, one in verdicts.items()}
    record.drifted = {family: list(one["drifted"]) for family, one in verdicts.items() if one["drifted"]}
    if record.trained:
        gate = read_json(settings.metrics / "gate.json")
        record.decision, record.decision_why = gate["decision"], gate["why"]
        evaluated = read_json(settings.metrics / "evaluation.json")
        rewards = {row["name"]: row["value"] for row in evaluated["rows"] if row["split"] == TEST}
        if rewards.get("refined_reward") is not None and rewards.get("champion_reward") is not None:
            record.better_by = round(rewards["refined_reward"] - rewards["champion_reward"], 6)
    now = champion.read_champion(settings)
    record.champion = now.id if now else ""
    record.release = serving.current_release(settings).resolve().name


def _erase(run: Fortnight, settings: Settings, control: dict[str, Any]) -> None:
    """Let the traffic leave the patient alone, then erase them."""
    control["questions"] = [pair for pair in control["questions"] if pair[0] != run.erased]
    write_json(run.control, control)
    time.sleep(3)
    done = forget_patient(settings, run.erased, "the simulation", "a planted erasure", lambda what, count: None)
    run.report(f"          a patient is erased; {len(done.left)} files name them")


def find_erased(run: Fortnight, settings: Settings) -> list[str]:
    """The files of the state that name the erased patient, by every byte, after the last night."""
    return find_places(settings, run.erased)


@contextmanager
def count_clean(run: Fortnight) -> Iterator[Settings]:
    """Take the same drops in beside the nights, without faults; whole when the block ends."""
    home, drops = run.folder / "clean", run.folder / "planned"
    command = [sys.executable, "-m", "benchmarks.fortnight.clean_count", str(home), str(drops)]
    with (run.folder / "clean.log").open("w") as log:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log, preexec_fn=lambda: os.nice(10))
    try:
        yield Settings(home=home, drops=drops)
    except BaseException:
        process.kill()
        raise
    finally:
        code = process.wait()
    if code:
        raise RuntimeError(f"the clean intake failed: see {run.folder / 'clean.log'}")


@contextmanager
def _send_traffic(run: Fortnight, control: dict[str, Any]) -> Iterator[None]:
    write_json(run.control, control)
    command = [sys.executable, "-m", "benchmarks.fortnight.traffic", str(run.control), str(run.log)]
    process = subprocess.Popen(command, cwd=PROJECT)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
