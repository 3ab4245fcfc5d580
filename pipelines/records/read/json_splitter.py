"""Split a JSON document into the objects of its entry list, without loading it whole.

The list is the document itself (a JSON array) or the ``entry`` list of a top-level object (a Bundle). A List has an
``entry`` too, and is no Bundle: the document's type may stand behind its entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]|"', re.S)
_LIST_OPENS = re.compile(rb"\s*:\s*\[")
_BLOCK = 1 << 20
_LOOK_AHEAD = 64
_STATES_TYPE = re.compile(rb'\s*:\s*"([^"\\]*)"')

Piece = tuple[int, bytes | None, bool]
"""(line, text, whether it is an entry of a list); text is None where it is over the limit."""


def find_document_type(stream: IO[bytes], limit: int) -> str:
    """Find the ``resourceType`` of a top-level object; empty where the document has none.

    Reading ends at the type: mostly in the first block. ``limit`` bounds the buffer, in bytes.
    """
    buffer, depth, final = b"", 0, False
    while not final and len(buffer) <= limit + _BLOCK:
        block = stream.read(_BLOCK)
        buffer, scanned, final = buffer + block, 0, not block
        for token in _TOKEN.finditer(buffer):
            text = token.group()
            if text == b'"' or (len(buffer) - token.end() < _LOOK_AHEAD and not final):
                break
            scanned = token.end()
            if text == b"[" and depth == 0:
                return ""
            depth += (text in (b"{", b"[")) - (text in (b"}", b"]"))
            if depth == 1 and text == b'"resourceType"' and (stated := _STATES_TYPE.match(buffer, scanned)):
                return stated[1].decode(errors="replace")
        buffer = buffer[scanned:]
    return ""


def split_entries(stream: IO[bytes], limit: int) -> Iterator[Piece]:
    """Yield the entries in order; a document without a list is one piece.

    ``limit`` bounds the buffer, in bytes; a longer piece ends the document. A truncated document ends with the
    incomplete entry as a piece.
    """
    splitter = _Splitter()
    while block := stream.read(_BLOCK):
        splitter.buffer += block
        yield from splitter.read_pieces(final=False)
        if splitter.done:
            return
        splitter.discard_consumed()
        if len(splitter.buffer) > limit + _BLOCK:
            yield splitter.line, None, splitter.level is not None
            return
    yield from splitter.read_pieces(final=True)
    if splitter.level is None and splitter.buffer.strip():
        yield 1, splitter.buffer, False
    elif splitter.start is not None:
        yield splitter.find_line(splitter.start), splitter.buffer[splitter.start :], True


class _Splitter:
    """Bracket depth over a growing buffer; entries stand at depth ``level``, once known."""

    def __init__(self) -> None:
        self.buffer = b""
        self.scanned = 0
        self.depth = 0
        self.level: int | None = None
        self.start: int | None = None
        self.done = False
        self.line = 1
        self._line_end = 0

    def read_pieces(self, final: bool) -> Iterator[Piece]:
        """Yield the entries that are complete in the buffer."""
        for token in _TOKEN.finditer(self.buffer, self.scanned):
            text = token.group()
            # A lone quote opens a string still to come; a key may still lack the colon after it.
            waits_for_colon = self.level is None and len(self.buffer) - token.end() < _LOOK_AHEAD
            if text == b'"' or (waits_for_colon and not final):
                return
            self.scanned = token.end()
            if text in (b"{", b"["):
                self._open(text, token.start())
            elif text in (b"}", b"]"):
                self.depth -= 1
                if self.start is not None and self.depth == self.level:
                    yield self.find_line(self.start), self.buffer[self.start : token.end()], True
                    self.start = None
                if self.level is not None and self.depth < self.level:
                    self.done = True
                    return
            elif text == b'"entry"' and self.level is None and self.depth == 1:
                self.level = 2 if _LIST_OPENS.match(self.buffer, token.end()) else None

    def _open(self, text: bytes, position: int) -> None:
        if self.depth == self.level and self.start is None and text == b"{":
            self.start = position
        self.depth += 1
        if self.level is None and self.depth == 1 and text == b"[":
            self.level = 1

    def find_line(self, position: int) -> int:
        """The 1-based line of a position at or after the last one asked for."""
        self.line += self.buffer.count(b"\n", self._line_end, position)
        self._line_end = position
        return self.line

    def discard_consumed(self) -> None:
        """Drop the buffer before the open entry."""
        if self.level is None:
            return
        cut = self.scanned if self.start is None else self.start
        self.find_line(cut)
        self.buffer, self.scanned, self._line_end = self.buffer[cut:], self.scanned - cut, 0
        self.start = None if self.start is None else 0
