"""Release a stream's text sentence by sentence, each checked first.

    released = s_1 … s_k,   check(s_{i-1} s_i) = ∅ for every i ≤ k

A sentence is released when its end is seen; what the check objects to is not, nor anything after it. Text without an
end is cut after ``LONGEST_SENTENCE`` characters, and each character is searched for an end once, however it comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Check = Callable[[str], Sequence[str]]

LONGEST_SENTENCE = 4096
_MARKS, _CLOSERS = ".!?…", "\"'”’)]*_"
#: The end of a sentence with what closes it: before white space, at a line's end, or a full-width mark.
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]*_]*+(?=\s)|[。！？；]++[”’」』）]*+|\n")
#: The end of what has come so far may end a sentence too, if a word stands before the mark (not "9." or "Dr.").
_LAST = re.compile(r"[^\W\d_]{3}[.!?]+[\"'”’)\]*_]*$")
_TAIL = 64  # characters in which the last word and its marks are looked for
_WORD = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*(?=\.[\"'”’)\]*_]*$)")
_ABBREVIATED = frozenset(
    {"approx", "dr", "drs", "e.g", "etc", "i.e", "incl", "max", "min", "mr", "mrs", "ms", "no", "prof", "resp", "st"}
    | {"tab", "tabs", "vs"}
)


class SentenceBuffer:
    """The text of one answer; after ``findings``, nothing more is released."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._pending = ""
        self._searched = 0
        self._ends: list[int] = []
        self._previous = ""
        self.findings: tuple[str, ...] = ()

    def add(self, text: str) -> bool:
        """Take text; whether :meth:`release` has something to check now."""
        self._pending += text
        for match in _END.finditer(self._pending, self._searched):
            if not _ends_abbreviation(self._pending, match.end()):
                self._ends.append(match.end())
        # marks at the end are searched again, because what follows them decides
        self._searched = max(self._searched, len(self._pending.rstrip(_CLOSERS).rstrip(_MARKS)))
        start = self._ends[-1] if self._ends else 0
        self._searched = max(self._searched, start)
        while len(self._pending) - start > LONGEST_SENTENCE:
            start = _cut(self._pending, start)
            self._ends.append(start)
        if _LAST.search(self._pending[-_TAIL:]) and not _ends_abbreviation(self._pending, len(self._pending)):
            self._ends.append(len(self._pending))
        return bool(self._ends)

    def release(self) -> str:
        """The sentences that have ended and pass the check."""
        ends, self._ends = self._ends, []
        return self._release(ends)

    def feed(self, text: str) -> str:
        """What may be released now that ``text`` has come."""
        return self.release() if self.add(text) else ""

    def flush(self) -> str:
        """What may be released of the last, unended sentence, once the answer is whole."""
        return self._release([len(self._pending)] if self._pending else [])

    def _release(self, ends: list[int]) -> str:
        released, start = "", 0
        for end in ends:
            if self.findings:
                break
            sentence = self._pending[start:end]
            self.findings = tuple(self._check(self._previous + sentence))
            if not self.findings:
                released += sentence
                self._previous = sentence if sentence.strip() else (self._previous + sentence)[-LONGEST_SENTENCE:]
                start = end
        self._pending = "" if self.findings else self._pending[start:]
        self._searched = max(0, self._searched - start)
        return released


def _cut(text: str, start: int) -> int:
    """Where a sentence without an end is cut: before the last white space within its length, if there is any."""
    end = start + LONGEST_SENTENCE
    space = max(text.rfind(mark, start + 1, end) for mark in (" ", "\t", "\u3000"))
    return space if space > start else end


def _ends_abbreviation(text: str, end: int) -> bool:
    """Whether the full stop at ``end`` belongs to an abbreviation."""
    word = _WORD.search(text[max(0, end - 24) : end])
    return word is not None and word[0].lower() in _ABBREVIATED
