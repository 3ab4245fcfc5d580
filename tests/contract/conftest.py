"""One clinic, taken in by the real stages and packaged once; an endpoint served from its bento; clients in process."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from filelock import FileLock

from bentos.auth.keys import development_token
from bentos.telemetry import logs
from pmlm.settings import Settings, load_settings
from tests.contract import three_women
from tests.contract.one_day import day, day_clinic, day_model  # noqa: F401 - fixtures
from tests.contract.stub_llm import StubLLM, stub_llm

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from pipelines.packaging.running_endpoint import RunningEndpoint

ClientFactory = Callable[..., "TestClient"]


@pytest.fixture(scope="session")
def packaged(shared_folder: Path) -> Settings:
    """The clinic with its records, features and online store, and the first champion packaged; once for all workers."""
    root = shared_folder / "three-women"
    with FileLock(shared_folder / "three-women.lock", timeout=600):
        if not (root / "whole").exists():
            _package(load_settings(home=root / "state", drops=three_women.write(root / "drops"), key_dir=root / "keys"))
            (root / "whole").touch()
    return load_settings(home=root / "state", drops=root / "drops", key_dir=root / "keys")


def _package(settings: Settings) -> None:
    from feature_repo.store import services
    from models.encoder import MiniLM
    from models.llm import unpack_embedded_llm
    from models.refiner import checkpoint
    from models.refiner.interface import Caps
    from models.templates import TEMPLATE_VERSION
    from pipelines.features.build import stage as features
    from pipelines.features.online import materialise
    from pipelines.packaging import release
    from pipelines.records import stage as records

    settings.home.mkdir()
    settings.embedded_llm.symlink_to(unpack_embedded_llm(load_settings().embedded_llm))
    for stage in (records, features, materialise):
        stage.run(settings, three_women.NIGHT)
    origin = checkpoint.Provenance(MiniLM.id, TEMPLATE_VERSION, services.SERVICE, services.hash_schema())
    checkpoint.save_ranking(settings.models / "champion", Caps(), origin)
    release.run(settings, three_women.NIGHT)


@pytest.fixture(scope="session")
def settings(packaged: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """This worker's own copy of the clinic: tests serve it, break it and package it anew."""
    home = tmp_path_factory.mktemp("clinic") / "state"
    shutil.copytree(packaged.home, home, symlinks=True)
    return load_settings(home=home, drops=packaged.drops, key_dir=packaged.key_dir, workers=1)


@pytest.fixture(scope="session")
def endpoint(settings: Settings) -> Iterator[RunningEndpoint]:
    """The bento, really served."""
    from pipelines.packaging import serving

    with serving.serve_temporarily(settings) as running:
        yield running


@pytest.fixture(scope="session")
def caller(settings: Settings, endpoint: RunningEndpoint) -> Iterator[httpx.Client]:
    """An HTTP client of the served bento that shows the development token."""
    with httpx.Client(base_url=endpoint.url, headers=bearer(settings), timeout=60, trust_env=False) as client:
        yield client


def bearer(settings: Settings) -> dict[str, str]:
    """The header by which the development token is shown."""
    return {"Authorization": f"Bearer {development_token(settings)}"}


@contextmanager
def _log_to(file: Path) -> Iterator[None]:
    """Give the endpoint's logger a file: its threads also log between tests, when pytest captures no output."""
    handler, logger = logging.FileHandler(file), logging.getLogger(logs.LOGGER)
    before, logger.handlers = logger.handlers, [handler]
    try:
        yield
    finally:
        logger.handlers = before
        handler.close()


@pytest.fixture(scope="module")
def stub() -> Iterator[StubLLM]:
    """A language model that answers as a test has it behave, one per file."""
    with stub_llm() as running:
        yield running


@pytest.fixture(scope="module")
def client_of(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientFactory]:
    """A function that gives an in-process client of the same service, under other ``PMLM_*`` settings if asked."""
    from pipelines.packaging.bento import make_serving_environment

    folder = tmp_path_factory.mktemp("service")
    with ExitStack() as open_clients, pytest.MonkeyPatch.context() as patch, _log_to(folder / "endpoint.log"):
        for name, value in make_serving_environment(settings).items():
            patch.setenv(name, value)
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", str(folder))
        from starlette.testclient import TestClient

        from bentos.service import PMLM

        def client(**overrides: str) -> TestClient:
            with pytest.MonkeyPatch.context() as once:  # a service reads its settings when it starts
                for name, value in overrides.items():
                    once.setenv(f"PMLM_{name.upper()}", value)
                opened = TestClient(PMLM.to_asgi(), headers=bearer(settings))
                return open_clients.enter_context(opened)

        yield client


@pytest.fixture(scope="module")
def client(client_of: ClientFactory) -> TestClient:
    """An in-process client without a language model: the embedded answer answers."""
    return client_of()
