"""How often a client may ask, how often an address may be refused, and what Redis counts over all workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentos.auth.counting.rates import RateLimits
from bentos.auth.counting.shared_counts import RESTS_S, SharedCounts
from pmlm.errors import SettingsError
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import clinic
from tests.unit.pipelines.features.servers import Server, redis


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with redis() as running:
        yield running


@pytest.fixture
def shared(tmp_path: Path, server: Server) -> Settings:
    """A clinic with a Redis: each test's is another one, so none meets another's counts."""
    clinic_of_its_own = clinic(tmp_path, rate_limit="3/minute", online_store=server.url)
    clinic_of_its_own.manifest.name = f"c{time.monotonic_ns()}"
    return clinic_of_its_own


def worker(settings: Settings) -> RateLimits:
    """What one worker counts with."""
    return RateLimits(settings, SharedCounts.of(settings))


def asks(*of: tuple[RateLimits, str, int]) -> list[int | None]:
    """What each worker says to a client that asks it so often, one after the other on one event loop."""

    async def all_of() -> list[int | None]:
        return [await rates.count_request(client) for rates, client, times in of for _ in range(times)]

    return asyncio.run(all_of())


def test_a_client_is_told_how_long_to_wait_and_others_are_not_concerned(tmp_path: Path) -> None:
    rates = RateLimits(clinic(tmp_path, rate_limit="3/minute; 100/hour"))
    *admitted, wait, other = asks((rates, "a", 4), (rates, "b", 1))
    assert admitted == [None, None, None]
    assert wait is not None
    assert 1 <= wait <= 120
    assert other is None


def _refused(rates: RateLimits, times: int) -> list[Any]:
    async def all_of() -> list[Any]:
        before = []
        for _ in range(times):
            before.append(await rates.block_remaining("10.0.0.1"))
            await rates.count_refusal("10.0.0.1")
        return [before, await rates.block_remaining("10.0.0.1"), await rates.block_remaining("10.0.0.2")]

    return asyncio.run(all_of())


def test_an_address_of_many_refusals_is_shut_out_for_a_while(tmp_path: Path) -> None:
    before, shut_out, other = _refused(RateLimits(clinic(tmp_path)), 60)
    assert before == [None] * 60
    assert shut_out
    assert other is None


def test_a_rate_that_is_none_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PMLM_RATE_LIMIT"):
        RateLimits(clinic(tmp_path, rate_limit="often"))


def test_without_redis_the_workers_of_a_machine_count_together_in_a_file(tmp_path: Path) -> None:
    settings = clinic(tmp_path, rate_limit="3/minute")
    assert SharedCounts.of(settings) is None
    one, other = worker(settings), worker(settings)
    waits = asks((one, "a", 2), (other, "a", 2), (one, "a", 1), (other, "b", 1))
    assert waits[:3] == [None] * 3
    assert all(wait is not None and 1 <= wait <= 120 for wait in waits[3:5])
    assert waits[5] is None


def test_where_the_file_cannot_be_written_a_worker_counts_for_itself(tmp_path: Path) -> None:
    settings = clinic(tmp_path, rate_limit="3/minute")
    (settings.workspace / "rates.db").mkdir(parents=True)
    *admitted, wait = asks((worker(settings), "a", 4))
    assert admitted == [None] * 3
    assert wait
    assert asks((worker(settings), "a", 1)) == [None]


def test_workers_with_a_redis_count_together(shared: Settings) -> None:
    one, other = worker(shared), worker(shared)
    waits = asks((one, "a", 2), (other, "a", 2), (one, "a", 1), (other, "b", 1))
    assert waits[:3] == [None] * 3
    assert all(wait is not None and 1 <= wait <= 120 for wait in waits[3:5])
    assert waits[5] is None
    assert asks((worker(shared), "a", 1)) != [None]  # on another event loop as well
    before, shut_out, stranger = _refused(one, 60)
    assert before == [None] * 60
    assert shut_out
    assert stranger is None


def test_the_server_learns_of_no_client(shared: Settings, server: Server) -> None:
    import redis as client

    asks((worker(shared), "ann@clinic.example", 1))
    keys = client.Redis.from_url(server.url).keys()
    assert any(shared.clinic.encode() in key for key in keys)
    assert not any(b"ann" in key for key in keys)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_redis_that_does_not_answer_costs_one_request_a_moment_and_the_worker_counts(
    shared: Settings, server: Server, how: str
) -> None:
    rates = worker(shared)
    assert asks((rates, "a", 1)) == [None]
    silent = server.frozen()  # which leaves the file to count in: of its window nothing is used
    if how == "frozen":
        silent.__enter__()
    else:
        server.stop()
    try:

        async def all_of() -> tuple[list[int | None], int]:
            """Answers, and how often another task had its turn before the first of them."""
            turns, first = 0, asyncio.create_task(rates.count_request("a"))
            while not first.done():
                await asyncio.sleep(0.005)
                turns += 1
            return [await first, *[await rates.count_request("a") for _ in range(4)]], turns

        waits, turns = asyncio.run(all_of())
        assert waits[:3] == [None] * 3  # the machine's own window, of which nothing was used
        assert all(waits[3:])
        if how == "frozen":
            assert turns > 5  # the event loop does not stand still while one request waits for Redis
    finally:
        silent.__exit__(None, None, None) if how == "frozen" else server.start()
    for _ in range(20):  # a busy machine may miss Redis' first answers again
        time.sleep(RESTS_S)
        left = asks((rates, "a", 3))
        if left[0] is None:
            break
    assert left[:2] == [None] * 2  # what Redis holds counts again: one of three, none after a restart
