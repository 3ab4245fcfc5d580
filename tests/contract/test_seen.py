"""A day as its operator sees it: metrics, traces and logs that hold neither a patient nor a word."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bentos.auth import keys
from tests.contract.one_day import WORDS, Day
from tests.contract.three_women import ADA, BEA, CLEO, IDENTIFIERS


def samples(day: Day, name: str) -> dict[tuple[str, ...], float]:
    """The values of a sample by its labels, in order of their names."""
    found = [s for f in text_string_to_metric_families(day.metrics) for s in f.samples if s.name == name]
    return {tuple(value for _, value in sorted(s.labels.items())): s.value for s in found}


def test_metrics_count_the_day_by_route_part_label_and_cap(day: Day) -> None:
    requests = samples(day, "pmlm_requests_total")
    assert requests[("POST", "/answer", "200")] == 7
    assert requests[("POST", "/feedback", "200")] == 10
    assert requests[("POST", "/feedback", "403")] == 3
    assert requests[("other", "/answer", "405")] == 1
    assert samples(day, "pmlm_interactions_total") == {("answer", "full"): 7}
    assert sum(samples(day, "pmlm_red_flags_total").values()) == 7
    assert samples(day, "pmlm_cap_hits_total") == {("feedback",): 1}
    assert samples(day, "pmlm_feedback_total")[("preferred",)] == 2
    assert samples(day, "pmlm_part_seconds_count") == {("features",): 7, ("method",): 7, ("llm",): 7}


def spans(day: Day) -> list[dict[str, Any]]:
    """The spans that the console exporter wrote among the lines of the log."""
    decoder, text, found = json.JSONDecoder(), day.log.read_text(), []
    at = text.find('{\n    "name"')
    while at >= 0:
        span, end = decoder.raw_decode(text, at)
        found.append(span)
        at = text.find('{\n    "name"', end)
    return found


def test_traces_follow_the_conventions_for_generative_ai(day: Day) -> None:
    found = spans(day)
    request = next(s for s in found if s["name"] == "POST /answer" and s["status"]["status_code"] != "ERROR")
    inside = {s["name"]: s for s in found if s["parent_id"] == request["context"]["span_id"]}
    call = inside["chat stub"]
    assert call["kind"] == "SpanKind.CLIENT"
    assert call["attributes"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "stub",
        "server.address": "127.0.0.1",
        "server.port": int(str(day.settings.llm_base_url).rpartition(":")[2].partition("/")[0]),
    }
    labels = [flag["label"] for flag in day.answers[0]["red_flags"]]
    triage = next((label for label in ("emergency", "urgent") if label in labels), "routine")
    assert inside["personalize"]["attributes"]["pmlm.triage"] == triage
    assert not [name for s in found for name in s["attributes"] if any(w in name for w in ("message", "prompt", "url"))]


def test_every_line_of_the_log_is_json_once_the_endpoint_runs(day: Day) -> None:
    text = day.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"')]
    texts = [line for line in lines if line.get("event") == "request"]
    routes = {"/answer", "/feedback", "/explain/{answer_id}", "/patients/{ref}/timeline", "/mcp", "unknown"}
    assert routes <= {line["route"] for line in texts}
    assert all({"route", "method", "status", "seconds", "timestamp", "trace_id"} <= set(line) for line in texts)
    assert not [line for line in text.splitlines() if "path=" in line or "Traceback" in line]


def test_no_metric_trace_or_log_holds_a_patient_or_a_word(day: Day) -> None:
    assert len(spans(day)) > 20
    ids = [str(day.settings.subject_id(p)) for p in (ADA, BEA, CLEO)]
    pseudonyms = [str(day.settings.pseudonym("interaction", i)) for i in ids]
    token = keys.development_token(day.settings)
    for place, text in (("metrics", day.metrics), ("log and traces", day.log.read_text())):
        for forbidden in (*IDENTIFIERS, *WORDS, *ids, *pseudonyms, token, "PROPFIND"):
            assert forbidden not in text, (place, forbidden)
