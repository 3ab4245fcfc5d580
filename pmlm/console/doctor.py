"""``pmlm doctor``: check configuration and environment without changing anything, one line per check."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import Literal

from pipelines import tombstones
from pipelines.night.schedule import airflow_processes
from pipelines.port_holder import name_holder
from pmlm.errors import ChangePlanError, PmlmError
from pmlm.language_models import EMBEDDED_ANSWER
from pmlm.settings import Settings
from pmlm.storage import read_json

Verdict = Literal["ok", "note", "bad"]
FREE_GB = 3.0
CONNECT_S = 3
MARKS: dict[Verdict, str] = {"ok": "[green]✓[/]", "note": "[yellow]–[/]", "bad": "[red]✗[/]"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding: ``note`` is worth knowing, ``bad`` stops a night; ``mend`` is the remedy."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""


def run_checks(settings: Settings) -> list[Diagnosis]:
    """All checks, in the order a night needs them."""
    return [check for part in CHECKS for check in part(settings)]


def _python(settings: Settings) -> Iterator[Diagnosis]:
    version = ".".join(map(str, sys.version_info[:3]))
    right = sys.version_info[:2] == (3, 11)
    yield Diagnosis(
        "python", "ok" if right else "bad", version, "" if right else "install Python 3.11 and run make setup"
    )


def _tools(settings: Settings) -> Iterator[Diagnosis]:
    git = shutil.which("git")
    yield Diagnosis("git", "ok" if git else "bad", git or "not found", "" if git else "apt-get install git")
    dvc = (settings.workspace / ".dvc" / "config").exists()
    yield Diagnosis(
        "workspace", "ok" if dvc else "note", str(settings.workspace), "" if dvc else "the first night creates it"
    )


def _drops(settings: Settings) -> Iterator[Diagnosis]:
    from pipelines.records import drops

    try:
        found, pending = drops.list_drops(settings), drops.list_pending(settings)
    except PmlmError as error:
        yield Diagnosis("drops", "bad", str(error), "make night DROPS=the clinic's folder")
        return
    message = f"{len(found)} in {settings.drops}, {len(pending)} not ingested yet"
    mend = "" if found else f"put folders named YYYY-MM-DD with FHIR R4 files into {settings.drops}"
    yield Diagnosis("drops", "ok" if found else "bad", message, mend)


def _key(settings: Settings) -> Iterator[Diagnosis]:
    if settings.manifest.hash_key:
        synthetic = settings.manifest.synthetic
        mend = "" if synthetic else "remove hash_key from clinic.yaml: the key of real patients must be secret"
        yield Diagnosis("patient key", "ok" if synthetic else "bad", "public, in clinic.yaml", mend)
        return
    path = settings.key_dir / f"{settings.clinic}.key"
    if not path.exists():
        yield Diagnosis("patient key", "note", f"{path} does not exist", "the first night creates it; then back it up")
        return
    private = path.stat().st_mode & 0o077 == 0
    yield Diagnosis("patient key", "ok" if private else "bad", str(path), "" if private else f"chmod 600 {path}")


def _erasures(settings: Settings) -> Iterator[Diagnosis]:
    """Only where a patient was erased: whether the policy in use had learnt from one."""
    if not tombstones.tombstones_path(settings).exists():
        return
    champion = settings.models / "champion" / "champion.json"
    try:
        count = len(tombstones.list_tombstones(settings))
        due = champion.exists() and tombstones.has_learnt(settings, read_json(champion)["id"])
    except PmlmError as error:
        yield Diagnosis("erasures", "bad", str(error), "restore erased/tombstones.json from a backup")
        return
    found = f"{count} erased" + ("; the policy in use learnt from one of them" if due else "")
    yield Diagnosis("erasures", "note" if due else "ok", found, "pmlm night trains another" if due else "")


def _tokens(settings: Settings) -> Iterator[Diagnosis]:
    from bentos.auth import keys

    if settings.token_jwks_url and not settings.token_issuer:
        yield Diagnosis("tokens", "bad", "PMLM_TOKEN_JWKS_URL without PMLM_TOKEN_ISSUER", "set PMLM_TOKEN_ISSUER")
        return
    path = keys.key_path(settings)
    if not path.exists():
        yield Diagnosis("tokens", "note", f"{path} does not exist", "the first start creates it")
        return
    provider = f", and those of {settings.token_issuer}" if settings.token_jwks_url else ""
    private = path.stat().st_mode & 0o077 == 0
    found = f"signed with {path}{provider}"
    yield Diagnosis("tokens", "ok" if private else "bad", found, "" if private else f"chmod 600 {path}")


def _llm(settings: Settings) -> Iterator[Diagnosis]:
    if not settings.llm_base_url:
        mend = "for a language model set PMLM_LLM_BASE_URL, PMLM_LLM_API_KEY and PMLM_LLM_MODEL, or `make night MODEL=`"
        restates = settings.llm_model == EMBEDDED_ANSWER
        found = "none: an answer restates the record's facts" if restates else f"{settings.llm_model}, in this process"
        yield Diagnosis("language model", "note" if restates else "ok", found, mend if restates else "")
    else:
        import httpx

        try:
            answer = httpx.get(f"{settings.llm_base_url.rstrip('/')}/models", timeout=5)
            reachable, message = answer.status_code < 500, f"{settings.llm_base_url} answers {answer.status_code}"
        except httpx.HTTPError as error:
            reachable, message = False, f"{settings.llm_base_url} does not answer: {type(error).__name__}"
        mend = "" if reachable else "check PMLM_LLM_BASE_URL; until it answers, patients get the escalation text only"
        yield Diagnosis("language model", "ok" if reachable else "bad", message, mend)
    converted = settings.embedded_llm.exists()
    mend = "" if converted else "the first night converts it"
    yield Diagnosis("embedded model", "ok" if converted else "note", str(settings.embedded_llm), mend)


def _engine(settings: Settings) -> Iterator[Diagnosis]:
    """Whether the configured engine is installed: Spark for features, its provider for Airflow."""
    if settings.engine == "spark":
        needed = {"pyspark": find_spec("pyspark"), "Java": shutil.which("java")}
        missing = [name for name, found in needed.items() if not found]
        message = f"spark at {settings.spark_master}" + (f", without {' and '.join(missing)}" if missing else "")
        mend = "uv pip install 'pmlm[spark]'; apt-get install openjdk-17-jre-headless" if missing else ""
        yield Diagnosis("feature engine", "bad" if missing else "ok", message, mend)
    if settings.spark_connection:
        name = "apache-airflow-providers-apache-spark"
        installed = any(d.metadata["Name"] == name for d in distributions())
        message = f"intake by connection {settings.spark_connection}" + ("" if installed else f", without {name}")
        yield Diagnosis(
            "Spark by Airflow", "ok" if installed else "bad", message, "" if installed else f"uv pip install {name}"
        )


def _stores(settings: Settings) -> Iterator[Diagnosis]:
    yield _online_store(settings)
    release = settings.workspace / "releases" / "current"
    built = release.exists()
    found = release.resolve().name if built else "none"
    yield Diagnosis("release", "ok" if built else "note", found, "" if built else "pmlm night")


def _online_store(settings: Settings) -> Diagnosis:
    from feature_repo.store import feast_store, online, online_stores, reach

    name = online_stores.redact_setting(settings.online_store)
    try:
        reach.reach_server(settings.online_store)
        served = feast_store.read_online_config(settings.feast)
        if served == online_stores.describe_store(settings.online_store):
            online.read(settings.feast, 0)
            return Diagnosis("online store", "ok", name)
    except (ValueError, online.StoreDownError) as error:
        return Diagnosis("online store", "bad", f"{name}: {error}", "check PMLM_ONLINE_STORE and that its server runs")
    if served is None:
        return Diagnosis("online store", "note", f"{name}, not filled yet", "pmlm night")
    found = f"{name} answers; the endpoint still reads another, of type {served['type']}"
    return Diagnosis("online store", "note", found, "pmlm features materialise")


def _airflow_database(settings: Settings) -> Iterator[Diagnosis]:
    """Only where Airflow's runs are in Postgres: whether it answers."""
    if settings.airflow_database == "sqlite":
        return
    from feature_repo.store.online_stores import redact_setting

    try:
        import psycopg

        psycopg.connect(settings.airflow_database, connect_timeout=CONNECT_S).close()
        problem, mend = "", ""
    except ImportError:
        problem, mend = ": psycopg is not installed", "uv pip install 'pmlm[postgres]'"
    except psycopg.Error as error:  # its message may name the user
        problem, mend = f": {type(error).__name__}", "check PMLM_AIRFLOW_DATABASE and that its server runs"
    shown = redact_setting(settings.airflow_database) + problem
    yield Diagnosis("Airflow's database", "bad" if problem else "ok", shown, mend)


def _plan(settings: Settings) -> Iterator[Diagnosis]:
    """Whether the change plan can be obeyed; a night runs without one, and promotes nothing."""
    from pipelines.evaluation.nightly import change_plan

    try:
        change_plan.read_plan(settings)
        yield Diagnosis("change plan", "ok", f"{change_plan.plan_path(settings)}")
    except ChangePlanError as error:
        yield Diagnosis("change plan", "note", str(error), "mend pccp.yaml")


def _disk(settings: Settings) -> Iterator[Diagnosis]:
    home = next(p for p in (settings.home, *settings.home.resolve().parents) if p.exists())
    free = shutil.disk_usage(home).free / 1e9
    mend = "" if free >= FREE_GB else "free some space, or set PMLM_HOME to another disk"
    yield Diagnosis("free disk", "ok" if free >= FREE_GB else "bad", f"{free:.1f} GB at {home}", mend)


def _ports(settings: Settings) -> Iterator[Diagnosis]:
    ours = {settings.airflow_port: airflow_processes.is_airflow_up(settings), settings.port: _endpoint_runs(settings)}
    for name, port, variable in (
        ("Airflow's port", settings.airflow_port, "PMLM_AIRFLOW_PORT"),
        ("endpoint's port", settings.port, "PMLM_PORT"),
    ):
        if ours[port]:
            yield Diagnosis(name, "ok", f"{port}, in use by PMLM")
        elif _is_listening(settings.host, port):
            holder = f"{port} is taken by {name_holder(port)}"
            yield Diagnosis(name, "bad", holder, f"stop that, or set {variable} to a free port")
        else:
            yield Diagnosis(name, "ok", f"{port} is free", "")


def _endpoint_runs(settings: Settings) -> bool:
    from pipelines.packaging import serving

    return serving.find_running_endpoint(settings) is not None


def _is_listening(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


CHECKS: tuple[Callable[[Settings], Iterator[Diagnosis]], ...] = (
    _python,
    _tools,
    _drops,
    _key,
    _erasures,
    _tokens,
    _llm,
    _engine,
    _stores,
    _airflow_database,
    _plan,
    _disk,
    _ports,
)
