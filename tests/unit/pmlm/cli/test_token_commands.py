"""``pmlm token`` and ``pmlm audit``; ``pmlm up`` prints the token in full only once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bentos.auth import audit, keys
from bentos.auth.audit import RequestAudit
from bentos.auth.tokens import TokenVerifier
from pmlm.cli.main import app
from pmlm.console import lifecycle
from pmlm.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "state", drops=tmp_path / "st-anna", key_dir=tmp_path / "keys")


def run(settings: Settings, *words: str) -> str:
    own = {"PMLM_HOME": str(settings.home), "PMLM_KEY_DIR": str(settings.key_dir)}
    done = CliRunner().invoke(app, [*words, "--drops", str(settings.drops)], env=own)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_token_is_printed_alone_and_is_what_was_asked_for(settings: Settings) -> None:
    token = run(settings, "token", "--patient", "Patient/ann", "--patient", "bea", "--client", "portal").strip()
    principal = TokenVerifier(settings).verify(token)
    assert principal.client == "portal"
    assert principal.scopes == {"system/Patient.rs"}
    assert principal.patients == {settings.subject_id("ann"), settings.subject_id("bea")}
    everyone = run(settings, "token", "--scope", "user/*.read", "--hours", "0.5").strip()
    assert TokenVerifier(settings).verify(everyone).patients is None
    assert TokenVerifier(settings).verify(everyone).scopes == {"user/*.read"}


def test_without_an_endpoint_there_is_no_link(settings: Settings) -> None:
    own = {"PMLM_HOME": str(settings.home), "PMLM_KEY_DIR": str(settings.key_dir)}
    done = CliRunner().invoke(app, ["link", "--drops", str(settings.drops)], env=own)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no endpoint runs here" in str(done.exception or done.stderr)


def test_accesses_are_listed_of_a_patient_and_of_a_client(settings: Settings) -> None:
    audit.write(settings, RequestAudit("/answer", "portal", [settings.subject_id("ann")]), 200)
    audit.write(settings, RequestAudit("/answer", "portal", [settings.subject_id("bea")]), 403)
    (line,) = run(settings, "audit", "Patient/ann", "--json").splitlines()
    assert (json.loads(line)["route"], json.loads(line)["outcome"]) == ("/answer", 200)
    assert len(run(settings, "audit", "--client", "portal").splitlines()) == 2
    assert run(settings, "audit", "Patient/cleo") == ""


def test_verify_says_which_line_was_removed(settings: Settings) -> None:
    for number in range(4):
        audit.write(settings, RequestAudit("/answer", "portal", [number]), 200)
    assert "4 lines chained" in run(settings, "audit", "verify")
    assert json.loads(run(settings, "audit", "verify", "--json"))["last"] == 4
    (path,) = audit.folder(settings).iterdir()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))
    own = {"PMLM_HOME": str(settings.home), "PMLM_KEY_DIR": str(settings.key_dir)}
    done = CliRunner().invoke(app, ["audit", "verify", "--drops", str(settings.drops)], env=own)
    assert done.exit_code == 1
    assert "number 2 is missing" in done.stdout
    assert "pmlm audit verify" in CliRunner().invoke(app, ["audit", "verify", "--help"]).stdout


def test_up_shows_the_token_once(settings: Settings) -> None:
    token = keys.development_token(settings)
    first, second = (list(lifecycle.format_token_lines(settings, "http://127.0.0.1:3000")) for _ in range(2))
    assert any(token in line for line in first)
    assert not any(token in line for line in second)
    assert any(str(keys.token_path(settings)) in line for line in second)
