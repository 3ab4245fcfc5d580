"""The typed client against the served bento: the README's ten lines, and every way to be refused."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from bentos.auth.keys import development_token, mint
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm import Client
from pmlm.errors import EndpointError
from pmlm.example_patient import REFERENCE
from pmlm.settings import PROJECT, Settings
from tests.contract.three_women import ADA, CLEO

TIRED = "Is it normal to feel this tired?"


def test_the_readmes_lines_run_as_they_stand(
    endpoint: RunningEndpoint, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.findall(r"^```python\n(.*?)^```", (PROJECT / "README.md").read_text(), re.M | re.S)
    (lines,) = [c for c in code if "from pmlm import Client" in c]
    assert len([line for line in lines.splitlines() if line.strip()]) <= 10
    lines = lines.replace("http://localhost:3000", endpoint.url).replace(REFERENCE, f"Patient/{ADA}")
    exec(lines, {"token": development_token(settings)})
    printed = capsys.readouterr().out
    assert "no red flag" in printed
    assert "haemoglobin 9.8 g/dL changed" in printed


def test_feedback_is_given_and_counted(endpoint: RunningEndpoint, settings: Settings) -> None:
    with Client(endpoint.url, development_token(settings)) as pmlm:
        assert pmlm.alive()
        assert pmlm.ready().features == "readable"
        made = pmlm.personalize(ADA, TIRED)
        assert pmlm.feedback(made.id, rating=4, comment="This helped.", user="she").counts
        with pytest.raises(ValidationError, match="same thing twice"):
            pmlm.feedback(made.id, rating=4, thumbs="up")
        with pytest.raises(EndpointError) as unkept:
            pmlm.feedback("0" * 32, thumbs="down")
    assert (unkept.value.status, unkept.value.field) == (404, "answer_id")


def test_each_refusal_has_its_status_and_field(endpoint: RunningEndpoint, settings: Settings) -> None:
    bound = mint(settings, "app", ["system/Patient.rs"], [settings.subject_id(ADA)], 1)
    with Client(endpoint.url, bound) as pmlm:
        assert pmlm.personalize(f"Patient/{ADA}", TIRED).prompt
        with pytest.raises(EndpointError) as foreign:
            pmlm.timeline(CLEO)
    with Client(endpoint.url, development_token(settings)) as pmlm:
        assert pmlm.ready().release == endpoint.release
        with pytest.raises(EndpointError) as unknown:
            pmlm.answer("nobody/at/all", TIRED)
        with pytest.raises(EndpointError) as unkept:
            pmlm.explain("no such?answer")
    with Client(endpoint.url, "no token") as pmlm, pytest.raises(EndpointError) as stranger:
        pmlm.answer(ADA, TIRED)
    refused = [(e.value.status, e.value.field) for e in (foreign, unknown, unkept, stranger)]
    assert refused == [(403, "patient"), (404, "patient"), (404, "answer_id"), (401, None)]


def test_an_endpoint_that_is_not_there_is_said(settings: Settings) -> None:
    with Client("http://127.0.0.1:9", "token") as pmlm, pytest.raises(EndpointError, match="does not answer") as gone:
        pmlm.ready()
    assert gone.value.status == 0
    with Client("http://127.0.0.1:9", "token") as pmlm:
        assert not pmlm.alive()
