"""One clinic, taken in by the real stages and packaged once; an endpoint served from its bento; clients in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import three_women

from pipelines.settings import Settings, load

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from pipelines.packaging.serving import Endpoint

HERE = Path(__file__).parent
ClientFactory = Callable[..., "TestClient"]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep this folder's tests in one worker: they share one clinic and one endpoint."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("contract"))


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The clinic with its records, features and online store, and the first champion packaged."""
    from feature_repo import services
    from models.encoder import MiniLM
    from models.llm import unpack
    from models.phrases import TEMPLATE_VERSION
    from models.refiner import artefact
    from models.refiner.interface import Caps
    from pipelines.features import materialise
    from pipelines.features import stage as features
    from pipelines.packaging import release
    from pipelines.records import stage as records

    root = tmp_path_factory.mktemp("three-women")
    settings = load(home=root / "state", drops=three_women.write(root / "drops"), key_dir=root / "keys")
    settings.home.mkdir()
    settings.embedded_llm.symlink_to(unpack(load().embedded_llm))
    for stage in (records, features, materialise):
        stage.run(settings, three_women.NIGHT)
    origin = artefact.Origin(MiniLM.id, TEMPLATE_VERSION, services.SERVICE, services.schema_hash())
    artefact.save_ranking(settings.models / "champion", Caps(), origin)
    release.run(settings, three_women.NIGHT)
    return settings


@pytest.fixture(scope="session")
def endpoint(settings: Settings) -> Iterator[Endpoint]:
    """The bento, really served."""
    from pipelines.packaging import serving

    with serving.served(settings) as running:
        yield running


def _forget_metrics() -> None:
    """BentoML registers its metrics once a process; a second service in it would find their names taken."""
    from prometheus_client import REGISTRY

    for collector in {c for name, c in REGISTRY._names_to_collectors.items() if name.startswith("bentoml_")}:
        REGISTRY.unregister(collector)


@pytest.fixture(scope="module")
def client_of(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientFactory]:
    """A function that gives an in-process client of the same service, under other ``PMLM_*`` settings if asked."""
    from pipelines.packaging.bento import environment

    with ExitStack() as open_clients, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(settings).items():
            patch.setenv(name, value)
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path_factory.mktemp("metrics")))
        from starlette.testclient import TestClient

        from bentos.service import PMLM

        def client(**overrides: str) -> TestClient:
            _forget_metrics()
            with pytest.MonkeyPatch.context() as once:  # a service reads its settings when it starts
                for name, value in overrides.items():
                    once.setenv(f"PMLM_{name.upper()}", value)
                return open_clients.enter_context(TestClient(PMLM.to_asgi()))

        yield client


@pytest.fixture(scope="module")
def client(client_of: ClientFactory) -> TestClient:
    """An in-process client with the embedded language model."""
    return client_of()
