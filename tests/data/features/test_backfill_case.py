"""Both drops are in the log before either night is built: each night sees its own, and the last sees all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pmlm.cli.main import app

CASE = Path(__file__).resolve().parents[4] / "shared" / "cases" / "17-backfill" / "clinic"

pytestmark = pytest.mark.skipif(not CASE.exists(), reason="../shared/cases is not beside the repository")


def _run(folder: Path, *words: str) -> str:
    env = {"PMLM_HOME": str(folder / "state"), "PMLM_DROPS": str(folder / "clinic")}
    done = CliRunner().invoke(app, list(words), env=env | {"PMLM_KEY_DIR": str(folder / "keys")})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def _features(folder: Path, patient: str, as_of: str) -> dict[str, object]:
    shown = json.loads(_run(folder, "features", "show", patient, "--as-of", as_of, "--json").splitlines()[-1])
    return {f["name"]: f["value"] for f in shown["features"]}


def _check(folder: Path, name: str) -> tuple[bool, str]:
    found = json.loads(_run(folder, "features", "verify", "--json").splitlines()[-1])
    return next((c["holds"], c["found"]) for c in found["checks"] if c["name"] == name)


def test_a_value_of_a_later_drop_is_seen_after_a_backfill(tmp_path: Path) -> None:
    shutil.copytree(CASE, tmp_path / "clinic")
    for day in ("2026-06-01", "2026-06-10", "2026-06-11"):
        _run(tmp_path, "records", "import", str(tmp_path / "clinic" / day))
    _run(tmp_path, "features", "build", "--date", "2026-06-01")
    assert _features(tmp_path, "Patient/x1", "2026-06-01")["systolic_latest"] == 118
    holds, found = _check(tmp_path, "complete")
    assert not holds
    assert "lacks 2, known by 20260610, 20260611" in found

    _run(tmp_path, "features", "build", "--date", "2026-06-10")
    assert _features(tmp_path, "Patient/x1", "2026-06-10")["systolic_latest"] == 166
    assert _features(tmp_path, "Patient/x2", "2026-06-10")["allergy_codes"] == ["RXNORM//7980"]
    assert "lacks 1, known by 20260611" in _check(tmp_path, "complete")[1]

    _run(tmp_path, "features", "build", "--date", "2026-06-11")
    assert _check(tmp_path, "complete")[0]
    assert _check(tmp_path, "every changed day has its row")[0]
