"""One day at a clinic of its own, over real HTTP, and the night after it: asked, spoken of, wandered about, learnt.

Fixtures of the whole session (``conftest`` hands them on); the tests that use them are of one xdist group.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.auth import keys
from pipelines.features.build import stage as features
from pipelines.features.online import materialise
from pipelines.packaging import serving
from pipelines.records import stage as records
from pmlm.settings import Settings, load_settings
from tests.contract import three_women
from tests.contract.stub_llm import StubLLM, stub_llm
from tests.contract.three_women import ADA, BEA, CLEO

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


@pytest.fixture(scope="session")
def day_model() -> Iterator[StubLLM]:
    with stub_llm() as stub:
        stub.text = ANSWER
        yield stub


@pytest.fixture(scope="session")
def day_clinic(packaged: Settings, day_model: StubLLM, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("day-and-night")
    shutil.copytree(packaged.home, root / "state", symlinks=True)
    shutil.copytree(packaged.drops, root / "drops")
    own = {"home": root / "state", "drops": root / "drops", "key_dir": packaged.key_dir, "feedback_a_day": 4}
    return load_settings(**own, llm_base_url=day_model.url, llm_model="stub")


@pytest.fixture(scope="session")
def day(day_clinic: Settings) -> Iterator[Day]:
    """Served with traces on: the console exporter writes them into the endpoint's log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_TRACES_EXPORTER", "console")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        with serving.serve_temporarily(day_clinic) as endpoint:
            today = Day(day_clinic, endpoint.url, day_clinic.workspace / "endpoint.log")
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
