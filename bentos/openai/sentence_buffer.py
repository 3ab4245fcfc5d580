"""Lets a stream's text through sentence by sentence, each checked before it is released.

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


class Sentences:
    """One answer's way out. ``findings`` names what stopped it; nothing is released from then on."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._held = ""
        self._before = ""
        self.findings: tuple[str, ...] = ()

    def feed(self, text: str) -> str:
        """What may be released now that ``text`` has come."""
        self._held += text
        ends = [match.end() for match in _END.finditer(self._held)]
        if _LAST.search(self._held):
            ends.append(len(self._held))
        return self._release([end for end in ends if not _abbreviates(self._held[:end])])

    def rest(self) -> str:
        """What may be released of the last, unended sentence, once the answer is known to be whole."""
        return self._release([len(self._held)] if self._held else [])

    def _release(self, ends: list[int]) -> str:
        released, start = "", 0
        for end in ends:
            if self.findings:
                break
            sentence = self._held[start:end]
            self.findings = tuple(self._check(self._before + sentence))
            if not self.findings:
                released += sentence
                self._before = sentence if sentence.strip() else self._before + sentence
                start = end
        self._held = "" if self.findings else self._held[start:]
        return released


def _abbreviates(text: str) -> bool:
    """Whether the full stop at the end of ``text`` belongs to an abbreviation."""
    word = _WORD.search(text[-24:])
    return word is not None and word[0].lower() in _ABBREVIATED
