"""Load an endpoint in a closed loop or at a fixed rate, and time each answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvloop

PATIENCE_S = 60.0
BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. ``whole`` judges the body of a 200."""

    url: str
    headers: dict[str, str]
    whole: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: HTTP status (0: none), seconds to its end and to its first text."""

    status: int
    seconds: float
    first: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Load:
    """What a run gave, in how long."""

    answers: list[Answer]
    seconds: float

    @property
    def served(self) -> list[Answer]:
        return [a for a in self.answers if a.status == 200 and a.whole]

    @property
    def shed(self) -> list[Answer]:
        return [a for a in self.answers if a.status == 503]

    @property
    def failed(self) -> int:
        """Answers that are neither whole nor a refusal to take more."""
        return len(self.answers) - len(self.served) - len(self.shed)

    @property
    def rate(self) -> float:
        return len(self.served) / self.seconds

    @property
    def times(self) -> list[float]:
        return [a.seconds for a in self.served]


def run_closed_loop(target: Target, bodies: Iterator[dict[str, Any]], clients: int, requests: int) -> Load:
    """Send ``requests`` requests from ``clients`` clients, each asking again once answered."""

    async def run() -> Load:
        answers: list[Answer] = []
        left = iter(range(requests))

        async def client(http: aiohttp.ClientSession) -> None:
            for _ in left:
                answer = await ask(http, target, next(bodies))
                answers.append(answer)

        async with _session(clients) as http:
            started = time.perf_counter()
            await asyncio.gather(*(client(http) for _ in range(clients)))
            return Load(answers, time.perf_counter() - started)

    return uvloop.run(run())


def load_in_turns(
    targets: Mapping[str, tuple[Target, Iterator[dict[str, Any]]]], clients: int, each: dict[str, int], share: float
) -> dict[str, Load]:
    """Load the targets in turns, so that a slow minute of the machine hits all of them."""
    found: dict[str, list[Load]] = {name: [] for name in targets}
    for _ in range(BLOCKS):
        for name, (target, bodies) in targets.items():
            found[name].append(
                run_closed_loop(target, bodies, clients, max(clients, int(share * each[name]) // BLOCKS))
            )
    return {
        name: Load([a for load in loads for a in load.answers], sum(load.seconds for load in loads))
        for name, loads in found.items()
    }


def with_bodies(
    targets: dict[str, Target], bodies: Iterator[dict[str, Any]]
) -> dict[str, tuple[Target, Iterator[dict[str, Any]]]]:
    """Targets that take their requests from one sequence."""
    return {name: (target, bodies) for name, target in targets.items()}


def at_rate(
    target: Target,
    bodies: Iterator[dict[str, Any]],
    rate: float,
    seconds: float,
    watch: Callable[[], None] | None = None,
    every: float = 1.0,
) -> Load:
    """Send ``rate`` requests per second for ``seconds``, answered or not; call ``watch`` meanwhile."""

    async def run() -> Load:
        answers: list[Answer] = []

        async def one(http: aiohttp.ClientSession, body: dict[str, Any]) -> None:
            answers.append(await ask(http, target, body))

        async with _session(0) as http, asyncio.TaskGroup() as tasks:
            started, next_watch = time.perf_counter(), 0.0
            for number in range(int(rate * seconds)):
                due = started + number / rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                if watch is not None and due - started >= next_watch:
                    watch()
                    next_watch += every
                tasks.create_task(one(http, next(bodies)))
        return Load(answers, time.perf_counter() - started)

    return uvloop.run(run())


async def ask(http: aiohttp.ClientSession, target: Target, body: dict[str, Any]) -> Answer:
    """Send one request, timed from before it is sent to the answer's end."""
    data = json.dumps(body).encode()
    started = time.perf_counter()
    first, received = 0.0, b""
    try:
        async with http.post(target.url, data=data, headers=target.headers) as response:
            async for piece in response.content.iter_any():
                received += piece
                if not first and b'"content":' in received:
                    first = time.perf_counter() - started
            seconds = time.perf_counter() - started
            return Answer(response.status, seconds, first, response.status == 200 and target.whole(received))
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Answer(0, time.perf_counter() - started, 0.0, False)


def _session(connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections), timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
    )
