"""Write each stage's run as OpenLineage events, with datasets named by their content.

    dataset = path in the workspace @ hash of its content       (namespace: the clinic)

What one stage wrote and another read is one dataset only if the bytes are the same. A run has a START, then a COMPLETE
or a FAIL; a killed one has a START alone. Events are lines of ``lineage/<month>.jsonl`` in the workspace, and are sent
to ``PMLM_LINEAGE_URL`` where it is set. No event names a patient or a record. An event that cannot be written or sent
stops no night.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from pipelines.night_dates import end_of_night
from pipelines.runs import StageSummary, summary_path
from pmlm.errors import PmlmError
from pmlm.settings import PROJECT, Settings
from pmlm.storage import append_lines, hash_files, read_json

SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER = "urn:pmlm"
SEND_S = 5.0
#: Versions of the facets' schemas.
_FACETS = {
    "ParentRunFacet": "1-2-0",
    "NominalTimeRunFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "DatasetVersionDatasetFacet": "1-0-1",
    "JobTypeJobFacet": "2-0-4",
}
#: Paths whose hash a stage's summary has already; others are small and hashed here.
_HASHED = {
    "data/events": ("records", "events"),
    "data/features": ("features", "features"),
    "data/episodes": ("episodes", "episodes"),
    "models/trajectory": ("trajectory", "trajectory"),
    "models/challenger": ("train", "weights"),
    "models/champion": ("gate", "champion"),
    "models/drafts": ("drafts", "catalogue"),
}
#: Further datasets, which ``dvc.yaml`` does not name: stage → (name, key in the summary's hashes or figures).
_FURTHER = {
    "package": ("releases", "release"),
    "drift": ("reports/drift", "verdicts"),
    "save": ("nights", "experiment"),
}

log = logging.getLogger(__name__)


@contextmanager
def emit_run(settings: Settings, night: str, stage: str) -> Iterator[None]:
    """Emit the events of a stage's run around the block."""
    run = str(uuid.uuid4())
    _emit(settings, night, stage, run, "START", None)
    try:
        yield
    except BaseException as error:
        _emit(settings, night, stage, run, "FAIL", error)
        raise
    _emit(settings, night, stage, run, "COMPLETE", None)


def events_folder(settings: Settings) -> Path:
    """The folder of the files of events."""
    return settings.workspace / "lineage"


def _emit(settings: Settings, night: str, stage: str, run: str, kind: str, error: BaseException | None) -> None:
    try:
        line = json.dumps(_build_event(settings, night, stage, run, kind, error), sort_keys=True)
        append_lines(events_folder(settings) / f"{datetime.now(UTC):%Y%m}.jsonl", line + "\n")
        if settings.lineage_url:
            _send(settings.lineage_url, line)
    except Exception as failure:
        log.warning("the %s event of the stage %s is not recorded: %s", kind, stage, type(failure).__name__)


def _send(url: str, line: str) -> None:
    import httpx

    headers = {"content-type": "application/json"}
    httpx.post(url, content=line.encode(), headers=headers, timeout=SEND_S, trust_env=False).raise_for_status()


def _build_event(
    settings: Settings, night: str, stage: str, run: str, kind: str, error: BaseException | None
) -> dict[str, Any]:
    space = f"pmlm:{settings.clinic}"
    parent = {"run": {"runId": name_night_run(settings, night)}, "job": {"namespace": space, "name": "night"}}
    facets = {
        "nominalTime": _facet("NominalTimeRunFacet", nominalStartTime=end_of_night(night).isoformat()),
        "parent": _facet("ParentRunFacet", **parent),
    }
    if error is not None:
        # another error's words may be a record's
        message = str(error) if isinstance(error, PmlmError) else type(error).__name__
        facets["errorMessage"] = _facet("ErrorMessageRunFacet", message=message, programmingLanguage="python")
    done = _read_summary(settings, night, stage) if kind == "COMPLETE" else None
    if done and (end := done.figures.get("audit")):  # a server elsewhere then knows how far the audit record went
        schema = f"{SPEC.partition('#')[0]}#/$defs/RunFacet"
        facets["pmlm_auditEnd"] = {"_producer": PRODUCER, "_schemaURL": schema, **end}
    job_type = _facet("JobTypeJobFacet", processingType="BATCH", integration="PMLM", jobType="STAGE")
    return {
        "eventType": kind,
        "eventTime": datetime.now(UTC).isoformat(),
        "producer": PRODUCER,
        "schemaURL": SPEC,
        "run": {"runId": run, "facets": facets},
        "job": {"namespace": space, "name": f"night.{stage}", "facets": {"jobType": job_type}},
        "inputs": [_dataset(space, *found) for found in _list_inputs(settings, night, stage)],
        "outputs": [_output(space, *found, done) for found in _list_outputs(settings, night, stage, done)]
        if done
        else [],
    }


def name_night_run(settings: Settings, night: str) -> str:
    """The id of the run that a night's stages are part of, in whichever process they run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"pmlm:{settings.clinic}/night/{night}"))


def _list_inputs(settings: Settings, night: str, stage: str) -> Iterator[tuple[str, str]]:
    """(path, hash) of what a stage reads; the drop's hash is known once it is in the ledger."""
    for path in _read_order(stage).get("deps", ()):
        if content := _hash_path(settings, night, path):
            yield path, content
    if stage == "records" and (summary := _read_summary(settings, night, stage)) and "drop" in summary.hashes:
        yield f"drops/{night}", summary.hashes["drop"]


def _list_outputs(settings: Settings, night: str, stage: str, done: StageSummary) -> Iterator[tuple[str, str]]:
    order = _read_order(stage)
    for out in (*order.get("outs", ()), *order.get("metrics", ())):
        path = out if isinstance(out, str) else next(iter(out))
        if content := _hash_path(settings, night, path):
            yield path, content
    name, key = _FURTHER.get(stage, ("", ""))
    if content := done.hashes.get(key) or done.figures.get(key):
        yield name, str(content)


def _hash_path(settings: Settings, night: str, path: str) -> str | None:
    """The hash of a path's content: its stage's own where that is recorded; None where there is nothing."""
    place = settings.workspace / path
    if not place.exists():
        return None
    if path not in _HASHED:
        return hash_files([place])
    stage, key = _HASHED[path]
    nights = sorted((p.parent.name for p in settings.runs.glob(f"[0-9]*/{stage}.json")), reverse=True)
    for earlier in (n for n in nights if n <= night):
        found = _read_summary(settings, earlier, stage)
        if found and key in found.hashes:
            return found.hashes[key]
        if found and found.status == "hold":  # it left nothing there
            return None
    return None


def _read_summary(settings: Settings, night: str, stage: str) -> StageSummary | None:
    path = summary_path(settings, night, stage)
    return StageSummary(**read_json(path)) if path.exists() else None


def _read_order(stage: str) -> dict[str, Any]:
    stages: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    return stages.get(stage, {})


def _dataset(space: str, path: str, content: str) -> dict[str, Any]:
    version = _facet("DatasetVersionDatasetFacet", datasetVersion=content)
    return {"namespace": space, "name": f"{path}@{content}", "facets": {"version": version}}


def _output(space: str, path: str, content: str, done: StageSummary) -> dict[str, Any]:
    rows = _facet("OutputStatisticsOutputDatasetFacet", rowCount=done.rows_out)
    return _dataset(space, path, content) | {"outputFacets": {"outputStatistics": rows}}


def _facet(name: str, **values: Any) -> dict[str, Any]:
    schema = f"https://openlineage.io/spec/facets/{_FACETS[name]}/{name}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": schema, **values}
