"""Release a stream's text sentence by sentence, each checked first.

    released = s_1 … s_k,   check(s_{i-1} s_i) = ∅ for every i ≤ k

A sentence is released when its end is seen; what the check objects to is not, nor anything after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Check = Callable[[str], Sequence[str]]

#: The end of a sentence with what closes it: before white space, at a line's end, or a full-width mark.
_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s)|[。！？；]+[”’」』）]*|\n")
#: The end of what has come so far may end a sentence too, if a word stands before the mark (not "9." or "Dr.").
_LAST = re.compile(r"[^\W\d_]{3,}[.!?]+[\"'”’)\]*_]*$")
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
        self._previous = ""
        self.findings: tuple[str, ...] = ()

    def feed(self, text: str) -> str:
        """What may be released now that ``text`` has come."""
        self._pending += text
        ends = [match.end() for match in _END.finditer(self._pending)]
        if _LAST.search(self._pending):
            ends.append(len(self._pending))
        return self._release([end for end in ends if not _ends_abbreviation(self._pending[:end])])

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
                self._previous = sentence if sentence.strip() else self._previous + sentence
                start = end
        self._pending = "" if self.findings else self._pending[start:]
        return released


def _ends_abbreviation(text: str) -> bool:
    """Whether the full stop at the end of ``text`` belongs to an abbreviation."""
    word = _WORD.search(text[-24:])
    return word is not None and word[0].lower() in _ABBREVIATED
