"""Each stage's run is an OpenLineage event by the published schema, whose datasets are contents."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from pipelines.night import run_events, stages
from pipelines.runs import stage_run
from pmlm.errors import NightError
from pmlm.settings import PROJECT, Settings

NIGHT = "20260301"
SPEC = {schema["$id"]: schema for path in sorted((PROJECT / "tests/data/openlineage").glob("*.json"))
        for schema in [json.loads(path.read_text())]}  # fmt: skip
REGISTRY: Registry[Any] = Registry().with_resources((name, Resource.from_contents(s)) for name, s in SPEC.items())


def read_events(settings: Settings) -> list[dict[str, Any]]:
    paths = sorted(run_events.events_folder(settings).glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def run(settings: Settings, stage: str, output: str = "", rows: int = 3, **hashes: str) -> None:
    """Run a stage that states these hashes, and writes one file."""
    with stages.announce_stage(settings, NIGHT, stage), stage_run(settings, NIGHT, stage) as summary:
        if output:
            (settings.workspace / output).mkdir(parents=True, exist_ok=True)
        summary.rows_out, summary.hashes = rows, hashes


def validate(document: Any, schema: str) -> None:
    Draft202012Validator({"$ref": schema}, registry=REGISTRY).validate(document)


def walk_facets(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "_schemaURL" in value:
            yield value
        for inner in value.values():
            yield from walk_facets(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk_facets(inner)


def test_every_event_and_every_facet_satisfies_the_published_schema(settings: Settings) -> None:
    run(settings, "records", "data/events", drop="d" * 64, events="a" * 64)
    run(settings, "episodes", "data/episodes", episodes="b" * 64)
    with pytest.raises(NightError), stages.announce_stage(settings, NIGHT, "train"):
        raise NightError("training cannot go on")
    events = read_events(settings)
    assert [(e["job"]["name"], e["eventType"]) for e in events] == [
        ("night.records", "START"), ("night.records", "COMPLETE"), ("night.episodes", "START"),
        ("night.episodes", "COMPLETE"), ("night.train", "START"), ("night.train", "FAIL"),
    ]  # fmt: skip
    for event in events:
        validate(event, event["schemaURL"])
        facets = list(walk_facets(event))
        assert facets
        for facet in facets:
            validate(facet, facet["_schemaURL"])


def test_what_one_stage_wrote_and_the_next_read_is_one_dataset_by_its_content(settings: Settings) -> None:
    run(settings, "records", "data/events", drop="d" * 64, events="a" * 64)
    run(settings, "episodes", "data/episodes", rows=7, episodes="b" * 64)
    records, episodes = (e for e in read_events(settings) if e["eventType"] == "COMPLETE")
    assert [d["name"] for d in records["inputs"]] == [f"drops/{NIGHT}@{'d' * 64}"]
    assert [d["name"] for d in records["outputs"]] == [f"data/events@{'a' * 64}"]
    assert [d["name"] for d in episodes["inputs"]] == [f"data/events@{'a' * 64}"]
    assert episodes["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 7


def test_a_run_has_one_id_and_all_runs_of_a_night_one_parent(settings: Settings) -> None:
    run(settings, "records")
    run(settings, "episodes")
    events = read_events(settings)
    assert len({e["run"]["runId"] for e in events}) == 2
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in events} == {
        run_events.name_night_run(settings, NIGHT)
    }


def test_an_errors_own_words_stay_out_of_the_event(settings: Settings) -> None:
    with pytest.raises(ValueError, match="Quillfeather"), stages.announce_stage(settings, NIGHT, "train"):
        raise ValueError("Quillfeather")
    assert "Quillfeather" not in json.dumps(read_events(settings))
    assert read_events(settings)[-1]["run"]["facets"]["errorMessage"]["message"] == "ValueError"


def test_a_saved_night_carries_the_end_of_the_audit_record(settings: Settings) -> None:
    with stages.announce_stage(settings, NIGHT, "save"), stage_run(settings, NIGHT, "save") as summary:
        summary.figures = {"experiment": "f" * 40, "audit": {"seq": 3, "chain": "c" * 32}}
    event = read_events(settings)[-1]
    validate(event, event["schemaURL"])
    assert event["run"]["facets"]["pmlm_auditEnd"]["chain"] == "c" * 32
    assert [d["name"] for d in event["outputs"]] == [f"nights@{'f' * 40}"]


def test_a_server_gets_the_same_events_and_its_absence_stops_nothing(settings: Settings) -> None:
    received: list[bytes] = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/v1/lineage"
        run(settings.model_copy(update={"lineage_url": url}), "records")
        server.shutdown()
    assert [json.loads(body) for body in received] == read_events(settings)
    run(settings.model_copy(update={"lineage_url": url}), "episodes")
    assert len(read_events(settings)) == 4


def test_a_folder_that_cannot_be_written_stops_no_stage(settings: Settings) -> None:
    settings.workspace.mkdir(parents=True)
    (settings.workspace / "lineage").write_text("no folder")
    run(settings, "records")
    assert (settings.runs / NIGHT / "records.json").exists()


def test_a_torn_line_of_a_killed_night_spoils_no_later_event(settings: Settings, tmp_path: Path) -> None:
    run(settings, "records")
    (file,) = run_events.events_folder(settings).glob("*.jsonl")
    with file.open("a") as stream:
        stream.write('{"eventType": "STA')
    run(settings, "episodes")
    whole = [line for line in file.read_text().splitlines() if line.endswith("}")]
    assert len([json.loads(line) for line in whole]) == 4
