"""Find which keys a JSON document's top-level object has, without loading it whole."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import IO

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]|"', re.S)
_COLON = re.compile(rb"\s*:")
_BLOCK = 1 << 20
_LOOK_AHEAD = 64
_LONGEST = 16 << 20  # of a string


def find_document_keys(stream: IO[bytes], wanted: Collection[str]) -> list[str]:
    """Find which of some keys stand in the top-level object, wherever in it; the stream is read to its end.

    A document without the word anywhere, as nearly all are, is only searched for it.
    """
    named = {f'"{key}"'.encode(): key for key in wanted}
    if not _has_any(stream, tuple(named)):
        return []
    stream.seek(0)
    found, depth, scanned, buffer = set[str](), 0, 0, b""
    while True:
        block = stream.read(_BLOCK)
        buffer = buffer[scanned:] + block
        scanned = 0
        for token in _TOKEN.finditer(buffer):
            text = token.group()
            # a lone quote opens a string still to come; a key may still lack the colon after it
            if block and (text == b'"' or len(buffer) - token.end() < _LOOK_AHEAD):
                break
            scanned = token.end()
            depth += (text in (b"{", b"[")) - (text in (b"}", b"]"))
            if depth == 1 and text in named and _COLON.match(buffer, token.end()):
                found.add(named[text])
        if not block or len(buffer) - scanned > _LONGEST:
            return sorted(found)


def _has_any(stream: IO[bytes], words: tuple[bytes, ...]) -> bool:
    tail = b""
    while block := stream.read(_BLOCK):
        if any(word in tail + block for word in words):
            return True
        tail = block[-64:]
    return False
