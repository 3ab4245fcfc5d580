"""Ask the running endpoint without a pause, and rate its answers; one line a request in a log.

Run as a process of its own until it is terminated: ``python -m benchmarks.fortnight.traffic CONTROL LOG``. ``CONTROL``
is a JSON file that may change meanwhile: ``{"url", "token", "questions": [[patient, text]…], "ratings": [points…],
"flip": share}``. Answers are rated as the sample's replies were, so that endpoint and portal do not differ.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.fortnight.drops import flip_rating

RATE = 2.0  # requests a second
RATED = 0.4  # share of answers that are rated
PATIENCE_S = 120.0
IDLE_S = 2.0  # of a connection; the server closes it after 5, and a request must not cross with that
NOBODY = 0  # the status of a request without an answer


class Traffic:
    """The questions of one run."""

    def __init__(self, control: Path, log: Path) -> None:
        self._control = control
        self._log = log
        self._rng = random.Random(0)
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Ask until terminated, then wait for what is asked."""
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, self._ended.set)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        connections = aiohttp.TCPConnector(keepalive_timeout=IDLE_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connections) as http,
            asyncio.TaskGroup() as tasks,
        ):
            while not self._ended.is_set():
                tasks.create_task(self._ask(http, json.loads(self._control.read_text())))
                await asyncio.sleep(1 / RATE)

    async def _ask(self, http: aiohttp.ClientSession, control: dict[str, Any]) -> None:
        patient, text = self._rng.choice(control["questions"])
        answer = await self._post(http, control, "/answer", {"patient": patient, "question": text})
        if answer and self._rng.random() < RATED:
            rating = self._rng.choice(control["ratings"])
            if self._rng.random() < control["flip"]:
                rating = flip_rating(rating)
            await self._post(http, control, "/feedback", {"answer_id": answer["id"], "rating": rating})

    async def _post(
        self, http: aiohttp.ClientSession, control: dict[str, Any], path: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Send one request and note what came of it; the body of a 200."""
        started, status, found = time.time(), NOBODY, None
        try:
            headers = {"authorization": f"Bearer {control['token']}"}
            async with http.post(control["url"] + path, json=body, headers=headers) as response:
                content = await response.read()
                status = response.status
                found = json.loads(content) if status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            found = None
            self._note(started, path, NOBODY, {"error": type(error).__name__})
            return None
        versions = (found or {}).get("versions", {})
        self._note(started, path, status, {name: versions[name] for name in ("release", "refiner") if name in versions})
        return found

    def _note(self, started: float, path: str, status: int, more: dict[str, Any]) -> None:
        line = {"at": round(started, 3), "seconds": round(time.time() - started, 3), "path": path, "status": status}
        with self._log.open("a") as log:
            log.write(json.dumps(line | more) + "\n")


if __name__ == "__main__":
    asyncio.run(Traffic(Path(sys.argv[1]), Path(sys.argv[2])).run())
