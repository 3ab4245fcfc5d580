"""One day at a clinic of its own, over real HTTP, and the night after it.

What was said of answers is learnt from, a new critical value is seen, and neither metrics, traces nor logs hold a
patient or a word.
"""

from __future__ import annotations

import json
import shutil
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import three_women
from prometheus_client.parser import text_string_to_metric_families
from stub_llm import StubLLM, stub_llm
from three_women import ADA, BEA, CLEO, IDENTIFIERS

from bentos.access import keys
from feature_repo import online
from models.preferences import preference
from models.vocabulary import RATING_CODE
from pipelines.features import materialise
from pipelines.features import stage as features
from pipelines.packaging import serving
from pipelines.records import log
from pipelines.records import stage as records
from pipelines.settings import Settings, load
from pipelines.training.dialogue import exchanges

TOMORROW, NIGHT = "2026-06-02", "20260602"
ASKED = "Zymurgy aside, is it normal that Adelheid feels this tired?"
EDITED = "Adelheid, please take one iron tablet on alternate days and see us in two weeks."
COMMENT = "Quillfeather says: far too long for me."
#: Fifty words: a detailed answer, in the preferences' sense.
ANSWER = "Rest when you can, drink enough, and eat well. " * 5 + "Ask your midwife at the next visit."
#: Words of the day that may stand in no metric, trace or log.
WORDS = ("Zymurgy", "tired", "alternate days", "far too long", "nobody-at-all", "tablet", "Wolfram", "midwife")


@dataclass
class Day:
    """What was asked and said, and what the endpoint answered."""

    settings: Settings
    url: str
    log: Path
    answers: list[dict[str, Any]] = field(default_factory=list)
    said: dict[str, httpx.Response] = field(default_factory=dict)
    metrics: str = ""

    def headers(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or keys.development_token(self.settings)}"}

    def post(self, path: str, body: Any, token: str | None = None) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=self.headers(token), timeout=60, trust_env=False)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=self.headers(), timeout=60, trust_env=False)

    def cards(self) -> list[dict[str, Any]]:
        context = {"userId": "Practitioner/1", "patientId": ADA}
        body = {"hook": "patient-view", "hookInstance": str(uuid.uuid4()), "context": context}
        found: list[dict[str, Any]] = self.post("/cds-services/pmlm-patient-view", body).json()["cards"]
        return found


@pytest.fixture(scope="module")
def model() -> Iterator[StubLLM]:
    with stub_llm() as stub:
        stub.text = ANSWER
        yield stub


@pytest.fixture(scope="module")
def clinic(packaged: Settings, model: StubLLM, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("day-and-night")
    shutil.copytree(packaged.home, root / "state", symlinks=True)
    shutil.copytree(packaged.drops, root / "drops")
    own = {"home": root / "state", "drops": root / "drops", "key_dir": packaged.key_dir, "feedback_a_day": 4}
    return load(**own, llm_base_url=model.url, llm_model="stub")


@pytest.fixture(scope="module")
def day(clinic: Settings) -> Iterator[Day]:
    """Served with traces on: the console exporter writes them into the endpoint's log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_TRACES_EXPORTER", "console")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        with serving.served(clinic) as endpoint:
            today = Day(clinic, endpoint.url, clinic.workspace / "endpoint.log")
            _ask(today)
            _speak(today)
            _wander(today)
            today.metrics = today.get("/metrics").text
            _night(today)
            yield today


def _ask(day: Day) -> None:
    for _ in range(6):
        response = day.post("/answer", {"patient": f"Patient/{ADA}", "question": ASKED})
        assert response.status_code == 200, response.text
        day.answers.append(response.json())
    day.answers.append(day.post("/answer", {"patient": BEA, "question": ASKED}).json())


def _speak(day: Day) -> None:
    first, second, third, fourth, fifth, sixth, beas = (answer["id"] for answer in day.answers)
    bound = keys.mint(day.settings, "app", ["system/Patient.rs"], [day.settings.subject_id(CLEO)], 1)
    hers = keys.mint(day.settings, "app", ["patient/Patient.rs"], [day.settings.subject_id(ADA)], 1)
    edit = {"by": "clinician", "user": "Practitioner/Wolfram", "edit": EDITED, "question": ASKED}
    for name, body, token in (
        ("stars", {"answer_id": first, "rating": 3, "comment": COMMENT}, None),
        ("thumb", {"answer_id": second, "thumbs": "up"}, hers),
        ("preference", {"answer_id": third, "preferred_over": fourth}, None),
        ("again", {"answer_id": first, "rating": 5}, None),
        ("fourth", {"answer_id": fifth, "rating": 5}, None),
        ("beyond", {"answer_id": sixth, "rating": 1}, None),
        ("hers", {"answer_id": first, "rating": 5}, hers),
        ("hers too", {"answer_id": fifth, "rating": 5}, hers),
        ("hers as well", {"answer_id": third, "rating": 5}, hers),
        ("edit", {"answer_id": first, **edit}, None),
        ("foreign", {"answer_id": first, "rating": 1}, bound),
        ("foreign or none", {"answer_id": "0" * 32, "rating": 1}, bound),
        ("none", {"answer_id": "0" * 32, "rating": 1}, None),
        ("another's", {"answer_id": beas, "preferred_over": first}, None),
        ("clinician?", {"answer_id": first, **edit}, hers),
        ("nothing", {"answer_id": first}, None),
        ("twice", {"answer_id": first, "rating": 1, "thumbs": "up"}, None),
        ("edit by her", {"answer_id": first, "edit": EDITED, "question": ASKED}, None),
        ("six stars", {"answer_id": first, "rating": 6}, None),
    ):
        day.said[name] = day.post("/feedback", body, token)


def _wander(day: Day) -> None:
    """Requests with identifiers and words in every place a request has."""
    day.get(f"/patients/Patient%2F{ADA}/timeline")
    day.get(f"/patients/{ADA}/timeline?name=Quillfeather")
    day.get(f"/explain/{ADA}")
    day.get(f"/nowhere/Patient/{ADA}?q=Zymurgy")
    day.post("/personalize", {"patient": "Patient/nobody-at-all", "question": ASKED})
    day.post("/personalize", {"patient": ADA, "question": ASKED + "\x00"})
    day.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": f"{ADA} Zymurgy"}})
    day.post("/mcp", {"jsonrpc": "2.0", "id": ADA, "method": "Zymurgy"})
    day.post("/feedback", {"answer_id": ADA, "rating": 1})
    httpx.request("PROPFIND", f"{day.url}/answer", headers=day.headers(), trust_env=False)
    httpx.get(f"{day.url}/answer", headers={"Authorization": f"Bearer {ADA}"}, trust_env=False)


def _night(day: Day) -> None:
    """The next day's drop comes in: a severe pressure of Ada's, and a visit of Cleo's."""
    folder = day.settings.drops / TOMORROW
    folder.mkdir()
    value = {"system": "http://unitsofmeasure.org", "code": "mm[Hg]", "unit": "mmHg"}
    panel = three_women._observation("bp", ADA, TOMORROW, "85354-9", "Blood pressure panel", {})
    panel["component"] = [
        {"code": three_women._coded(three_women.LOINC, code, display), "valueQuantity": {"value": v, **value}}
        for code, display, v in (("8480-6", "Systolic", 168), ("8462-4", "Diastolic", 112))
    ]
    lines = [json.dumps(panel), json.dumps(three_women._visit("v9", CLEO, TOMORROW))]
    (folder / "records.ndjson").write_text("\n".join(lines) + "\n")
    for stage in (records, features, materialise):
        stage.run(day.settings, NIGHT)


def feature_row(day: Day, patient: str) -> dict[str, Any]:
    row = online.read(day.settings.feast, day.settings.subject_id(patient))
    assert row is not None
    return dict(row)


def test_feedback_is_taken_by_who_may_see_the_patient_and_by_nobody_else(day: Day) -> None:
    status = {name: response.status_code for name, response in day.said.items()}
    taken = {"stars", "thumb", "preference", "again", "fourth", "beyond", "hers", "hers too", "hers as well"}
    assert {name for name, code in status.items() if code == 200} == taken | {"edit"}
    assert (status["foreign"], status["clinician?"]) == (403, 403)
    assert (status["none"], status["another's"]) == (404, 404)
    assert day.said["foreign"].json() == day.said["foreign or none"].json()
    assert {status[n] for n in ("nothing", "twice", "edit by her", "six stars")} == {400}
    assert day.said["six stars"].json()["field"] == "rating"


def test_what_goes_beyond_the_cap_is_said_so(day: Day) -> None:
    counts = {name: r.json()["counts"] for name, r in day.said.items() if r.status_code == 200}
    assert [name for name, counted in counts.items() if not counted] == ["beyond"]


def test_the_reward_log_keeps_the_program_and_no_word(day: Day) -> None:
    (file,) = (day.settings.workspace / "feedback").glob("*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    by_answer = {answer["id"]: answer for answer in day.answers}
    assert {line["kind"] for line in lines} == {"rating", "thumbs", "preferred", "edit", "comment"}
    for line in lines:
        program = by_answer[line["answer"]]["program"]
        assert (line["picks"], line["log_prob"]) == (program["picks"], program["log_prob"])
        assert line["refiner"] == by_answer[line["answer"]]["versions"]["refiner"]
    assert not [w for w in (*WORDS, *IDENTIFIERS) if w in file.read_text()]


def test_the_night_turns_what_counts_into_her_preferences(day: Day) -> None:
    ratings = log.scan(day.settings).filter(pl.col("code") == RATING_CODE).collect()
    assert sorted(ratings["numeric_value"].to_list()) == [2.0, 4.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    assert set(ratings["subject_id"]) == {day.settings.subject_id(ADA)}
    row = feature_row(day, ADA)
    assert (row["ratings"], row["rating_detailed_count"], row["rating_brief_count"]) == (8, 8, 0)
    assert row["rating_detailed_mean"] == pytest.approx(35 / 8)


def test_the_night_learns_a_clinicians_edit_as_a_reply_without_names(day: Day) -> None:
    (exchange,) = exchanges(log.scan(day.settings), day.settings.now())
    assert exchange.question == "Zymurgy aside, is it normal that [name] feels this tired?"
    assert " ".join(exchange.reply) == EDITED.replace("Adelheid", "[name]")


def test_words_are_kept_without_names_and_raw_ones_not_at_all(day: Day) -> None:
    raw = day.settings.quarantine / "feedback"
    assert not list(raw.iterdir())
    texts = [p.read_text() for p in (day.settings.workspace / "feedback" / "texts").iterdir()]
    assert sorted("comment" in t for t in texts) == [False, True]
    assert not [i for i in IDENTIFIERS for t in texts if i in t]


def test_a_value_recorded_since_is_a_critical_card(day: Day) -> None:
    critical = [card for card in day.cards() if card["indicator"] == "critical"]
    assert [card["summary"] for card in critical] == [
        "Blood pressure 168/112 mmHg, today: severe hypertension in pregnancy or after birth"
    ]
    assert critical[0]["source"]["label"] == "ACOG Committee Opinion 767"


def test_what_she_likes_is_said_in_her_next_prompt_only_when_it_is_clear(day: Day) -> None:
    segments = day.post("/personalize", {"patient": ADA, "question": ASKED}).json()["segments"]
    told = [s["text"] for s in segments if s["kind"] == "preference"]
    clear = preference(feature_row(day, ADA)).length
    assert clear == "detailed"
    assert len(told) == 1


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
    told = [line for line in lines if line.get("event") == "request"]
    routes = {"/answer", "/feedback", "/explain/{answer_id}", "/patients/{ref}/timeline", "/mcp", "unknown"}
    assert routes <= {line["route"] for line in told}
    assert all({"route", "method", "status", "seconds", "timestamp", "trace_id"} <= set(line) for line in told)
    assert not [line for line in text.splitlines() if "path=" in line or "Traceback" in line]


def test_no_metric_trace_or_log_holds_a_patient_or_a_word(day: Day) -> None:
    assert len(spans(day)) > 20
    ids = [str(day.settings.subject_id(p)) for p in (ADA, BEA, CLEO)]
    pseudonyms = [str(day.settings.pseudonym("interaction", i)) for i in ids]
    token = keys.development_token(day.settings)
    for place, text in (("metrics", day.metrics), ("log and traces", day.log.read_text())):
        for forbidden in (*IDENTIFIERS, *WORDS, *ids, *pseudonyms, token, "PROPFIND"):
            assert forbidden not in text, (place, forbidden)
