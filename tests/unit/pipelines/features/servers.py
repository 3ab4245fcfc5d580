"""Real Redis and Postgres servers for tests, which can be stopped, frozen and restarted."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

#: Every character that a URL, Feast's connection string, a shell or YAML could stumble over.
PASSWORD = 's,e=c r:e/t@$HOME"#é'
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


@dataclass
class Server:
    """One running server: its URL as ``PMLM_ONLINE_STORE`` has it, and the command that starts it."""

    url: str
    port: int
    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.command[0]} does not listen")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)  # Postgres' fast shutdown; Redis ends on it too
            self.process.wait(timeout=20)
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """A server that accepts connections and says nothing."""
        assert self.process is not None
        every = [self.process.pid, *_children(self.process.pid)]
        for pid in every:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in every:
                os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def redis() -> Iterator[Server]:
    """A Redis with a password; the test is skipped, by name, where none is installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    port = _free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
    url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/3"
    yield from _running(Server(url, port, ["redis-server", *options]))


@contextmanager
def postgres() -> Iterator[Server]:
    """A Postgres with a password, run as Debian's user where this one is root."""
    folders = sorted(DEBIAN_POSTGRES.glob("*/bin"), key=lambda p: int(p.parent.name))
    if not folders:
        pytest.skip("no Postgres server is installed (apt-get install postgresql)")
    binaries, port = folders[-1], _free_port()
    as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pmlm-postgres-", dir="/tmp") as name:
        folder = Path(name)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if as_owner:
            shutil.chown(folder, "postgres")
            shutil.chown(secret, "postgres")
        made = [*as_owner, str(binaries / "initdb"), "-D", f"{name}/data", "-U", "clinic", "--auth=scram-sha-256"]
        made += [f"--pwfile={secret}", "--encoding=UTF8", "--no-sync", "--locale=C"]
        subprocess.run(made, check=True, capture_output=True, cwd="/")
        options = ["-D", f"{name}/data", "-p", str(port), "-h", "127.0.0.1", "-k", "", "-c", "fsync=off"]
        url = f"postgresql://clinic:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        yield from _running(Server(url, port, [*as_owner, str(binaries / "postgres"), *options]))


def _running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()
