"""Start what is measured: a stub model, our endpoint, an empty one, the LiteLLM proxy."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from bentos.auth import keys
from pipelines.packaging import serving
from pipelines.packaging.bento import make_serving_environment
from pipelines.packaging.running_endpoint import RunningEndpoint
from pmlm.errors import ServingError
from pmlm.settings import PROJECT, Settings, load_settings

CACHE = PROJECT / "benchmarks" / ".cache"
LITELLM = CACHE / "litellm"
LITELLM_VERSION = "1.106.*"
START_S = 300.0


@contextmanager
def stub(latency: float) -> Iterator[str]:
    """The base URL of a stub language model."""
    command = [sys.executable, "-m", "benchmarks.serving.stub", "--latency", str(latency)]
    with _process(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"


@contextmanager
def endpoint(base_url: str, workers: int = 1) -> Iterator[tuple[Settings, RunningEndpoint]]:
    """Our endpoint over the current release, with this language model and no rate limit."""
    limit = "10000000/minute"
    settings = load_settings(llm_base_url=base_url, llm_model="stub", rate_limit=limit, workers=workers)
    with serving.serve_temporarily(settings) as running:
        yield settings, running


def token(settings: Settings) -> dict[str, str]:
    return {"content-type": "application/json", "authorization": f"Bearer {keys.development_token(settings)}"}


@contextmanager
def empty(settings: Settings) -> Iterator[str]:
    """An empty BentoML endpoint's URL."""
    port = _free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "benchmarks.serving.empty:Empty", "--port", str(port)]
    with _process(command, env=make_serving_environment(settings)):
        _wait(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def litellm(base_url: str, workers: int = 1) -> Iterator[tuple[str, dict[str, str]]]:
    """The LiteLLM proxy in front of this language model: its URL and headers.

    It does not start without a master key, so each of its requests shows one, as ours show a token.
    """
    _install()
    port, config = _free_port(), CACHE / "litellm.json"
    model = {"model": "openai/stub", "api_base": base_url, "api_key": "none"}
    config.write_text(json.dumps({"model_list": [{"model_name": "stub", "litellm_params": model}]}))
    command = [str(LITELLM / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    key = f"sk-{secrets.token_hex(32)}"
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    with _process([*command, "--num_workers", str(workers)], env=inherited | quiet):
        _wait(f"http://127.0.0.1:{port}/health/liveliness")
        yield f"http://127.0.0.1:{port}", {"content-type": "application/json", "authorization": f"Bearer {key}"}


def litellm_version() -> str:
    """The version under measurement."""
    command = [str(LITELLM / "bin" / "python"), "-c", "import importlib.metadata as m; print(m.version('litellm'))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def worker(running: RunningEndpoint) -> psutil.Process:
    """The endpoint's worker: of its processes the largest."""
    return max(serving.find_processes(running), key=lambda process: process.memory_info().rss)


def _install() -> None:
    if (LITELLM / "bin" / "litellm").exists():
        return
    uv = str(Path(sys.executable).parent / "uv")
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(LITELLM)], check=True)
    python = str(LITELLM / "bin" / "python")
    subprocess.run([uv, "pip", "install", "-q", "--python", python, f"litellm[proxy]=={LITELLM_VERSION}"], check=True)


@contextmanager
def _process(
    command: list[str], env: dict[str, str] | None = None, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=PROJECT, env=env, stdout=stdout, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        _, left = psutil.wait_procs(family, timeout=10)
        for one in left:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2.0, trust_env=False).status_code == 200:
                return
        time.sleep(0.2)
    raise ServingError(f"{url} does not come up")
