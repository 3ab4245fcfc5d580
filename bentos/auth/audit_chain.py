"""Chain the lines of the audit record: none can be removed, changed or moved unseen.

    chain(n) = BLAKE2b(clinic's key, chain(n - 1), line n without its chain)

Lines are numbered (``seq``) from one over all months and processes. ``audit-head.json`` in the workspace says how far
the chain goes, which is how lines cut off at the end are missed. The first line covers what older versions wrote
without a chain (``before``). Whoever has the clinic's key can forge all of it.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from pmlm.settings import Settings
from pmlm.storage import append_lines, open_locked

_CHAINED = re.compile(rb'.*,"seq":([0-9]{1,18}),"chain":"([0-9a-f]{32})"\}', re.DOTALL)
_CHAIN_MEMBER = len(b',"chain":""}') + 32  # at the end of a line
_HEAD_BYTES = 256  # always the same length, so that one write replaces the whole
_TAILS = (4096, 64 * 1024)  # bytes read for the last line; the more only where a killed writer left much behind it
_SYNC_S = 1.0
_START = ""
_synced_at = float("-inf")


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """The last line's number and chain, and the month whose file it is in."""

    seq: int
    chain: str
    month: str


def head_path(settings: Settings) -> Path:
    """The file that says how far the chain goes."""
    return settings.workspace / "audit-head.json"


def list_files(folder: Path) -> list[Path]:
    """The files of the record, oldest first; a pipe in a file's place would block its reader."""
    return sorted(path for path in folder.glob("*.jsonl") if path.is_file())


def append(settings: Settings, folder: Path, month: str, lines: Sequence[str]) -> None:
    """Append JSON objects to the record, each with its number and chain; all or none."""
    with open_locked(head_path(settings)) as handle:
        last, extra = _find_end(settings, handle, folder)
        path = folder / f"{max(month, last.month)}.jsonl"  # a clock set back must not put a line before others
        chained = []
        for line in lines:
            body = f'{line[:-1]}{extra},"seq":{last.seq + 1}'
            last, extra = ChainEnd(last.seq + 1, compute_chain(settings, last.chain, body.encode()), path.stem), ""
            chained.append(f'{body},"chain":"{last.chain}"}}\n')
        append_lines(path, "".join(chained))
        _write_head(settings, handle, last)
    _sync_soon(path)


def compute_chain(settings: Settings, former: str, body: bytes) -> str:
    """The chain of a line, ``body`` up to its chain, after the line whose chain is ``former``."""
    key = settings.hash_key[:64]
    return blake2b(former.encode() + b"\n" + body, key=key, digest_size=16, person=b"pmlm-audit").hexdigest()


def compute_before(lines: Iterable[bytes]) -> str:
    """The digest of the lines that stand before the chain."""
    digest = blake2b(digest_size=16)
    for line in lines:
        digest.update(line.strip() + b"\n")
    return digest.hexdigest()


def split_line(line: bytes) -> tuple[bytes, int, str] | None:
    """A chained line's body, number and chain; None for a line without a chain."""
    line = line.strip()
    found = _CHAINED.fullmatch(line)
    return (line[:-_CHAIN_MEMBER], int(found[1]), found[2].decode()) if found else None


def read_head(settings: Settings) -> ChainEnd | None:
    """How far the chain goes; None where nothing valid says so."""
    with suppress(FileNotFoundError):
        return _parse_head(settings, head_path(settings).read_bytes())
    return None


def _find_end(settings: Settings, handle: int, folder: Path) -> tuple[ChainEnd, str]:
    """The end of the chain, and what the next line must state besides.

    A writer killed before it wrote the head leaves a line that the head does not know. Without a head the lines behind
    the last one may have been cut off: the next line says that the head was lost.
    """
    head, tail = _parse_head(settings, os.pread(handle, _HEAD_BYTES, 0)), _read_tail(folder)
    if head is not None:
        before = f',"before":"{compute_before(_read_all(folder))}"' if head.seq == 0 and tail is None else ""
        return (tail, "") if tail is not None and tail.seq > head.seq else (head, before)
    if tail is not None:
        return tail, ',"head":"lost"'
    start = ChainEnd(0, _START, "")
    _write_head(settings, handle, start)  # first, so that a kill behind the first line is no lost head
    return start, f',"before":"{compute_before(_read_all(folder))}"'


def _read_tail(folder: Path) -> ChainEnd | None:
    """The last chained line of the last file that has one."""
    for path in reversed(list_files(folder)):
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            for tail in _TAILS:
                stream.seek(max(0, size - tail))
                for line in reversed(stream.read().splitlines()):
                    if found := split_line(line):
                        return ChainEnd(found[1], found[2], path.stem)
    return None


def _read_all(folder: Path) -> Iterator[bytes]:
    for path in list_files(folder):
        with path.open("rb") as stream:
            yield from (line for line in stream if line.strip())


def _parse_head(settings: Settings, raw: bytes) -> ChainEnd | None:
    try:
        value = json.loads(raw)
        end = ChainEnd(int(value["seq"]), str(value["chain"]), str(value["month"]))
        return end if value["proof"] == _prove(settings, end) else None
    except (ValueError, KeyError, TypeError):
        return None


def _write_head(settings: Settings, handle: int, end: ChainEnd) -> None:
    value = {"seq": end.seq, "chain": end.chain, "month": end.month, "proof": _prove(settings, end)}
    os.pwrite(handle, json.dumps(value).encode().ljust(_HEAD_BYTES - 1) + b"\n", 0)


def _prove(settings: Settings, end: ChainEnd) -> str:
    return compute_chain(settings, end.chain, f"head {end.seq} {end.month}".encode())


def _sync_soon(path: Path) -> None:
    """Bring the file to the disk at most once a second, and without making the answer wait."""
    global _synced_at
    if time.monotonic() - _synced_at >= _SYNC_S:
        _synced_at = time.monotonic()
        threading.Thread(target=_sync, args=(path,), daemon=True).start()


def _sync(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(handle)
        finally:
            os.close(handle)
