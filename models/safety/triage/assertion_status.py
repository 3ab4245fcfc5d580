"""Decide whether a mention counts: not denied, past, another's, or only asked about."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from models.safety.triage.red_flag_table import RulePart, load_cue

#: Denials that run through a list ("no fever, chills or bleeding"); others end at a comma.
_LISTING = ("no", "without", "nor", "denies", "没有", "无")
_FOLLOWS = re.compile(r"(?:it|that|this|they|all|everything|but it|the|now)\b|[他它]|现在|后来|目前")
#: The next sentence answers this one: "Chest pain? No."
_ANSWERED_NO = re.compile(r"(?:no|none|nope|neither|never|nothing like that|没有|都没有|无|没)(?:\W+\w+){0,2}\W*")
_ASKS = re.compile(r"(?:do|does|can|could|should|is|are|will|would|when|what|how|which|may|must|shall)\b")
_THIRD_PERSON = re.compile(r"(?:she|her|he|his|they)\b|[他她]")
REACH = {"en": 8, "zh": 10}  # words, characters
FARTHEST = 200  # characters: eight words are no longer


class TextSpan(NamedTuple):
    """Where an occurrence stands in its sentence."""

    start: int
    end: int


def find_spans(pattern: re.Pattern[str], text: str) -> list[TextSpan]:
    """All occurrences, in order."""
    return [TextSpan(*m.span()) for m in pattern.finditer(text)]


class _Covered:
    """The stretches of a text that spans cover; asking costs no more where there are thousands."""

    def __init__(self, spans: Iterable[TextSpan]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for span in sorted(spans):
            if self._ends and span.start < self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], span.end)
            else:
                self._starts.append(span.start)
                self._ends.append(span.end)

    def is_apart(self, span: TextSpan) -> bool:
        """Whether the span overlaps none of them."""
        last = bisect_left(self._starts, span.end) - 1
        return last < 0 or self._ends[last] <= span.start


_NOTHING = _Covered(())


class MessageSentence:
    """One normalised sentence of a message, with its neighbours."""

    def __init__(self, sentences: Sequence[str], index: int, language: str) -> None:
        self.text = sentences[index]
        self.language = language
        self.before = sentences[index - 1] if index else ""
        self.after = sentences[index + 1] if index + 1 < len(sentences) else ""
        self._found: dict[RulePart, list[TextSpan]] = {}
        self._cues: dict[tuple[str, str], list[TextSpan]] = {}
        exceptions = _Covered(self._find_cue("not_denied"))
        self._denials = [s for s in self._find_cue("denied") if exceptions.is_apart(s)]
        self._denial_starts = {s.start for s in self._denials}
        self._denial_ends = [s.end for s in self._denials]
        self._denied_next = {s.end for s in self._find_cue("denied_next") if exceptions.is_apart(s)}

    def _find_cue(self, name: str, text: str | None = None) -> list[TextSpan]:
        """The occurrences of a cue in ``text`` (default: this sentence), searched once whatever asks for them."""
        key = name, self.text if text is None else text
        if key not in self._cues:
            self._cues[key] = find_spans(load_cue(self.language, name), key[1])
        return self._cues[key]

    def _spans(self, part: RulePart) -> list[TextSpan]:
        """``find_spans`` in this sentence; rules share many of their parts."""
        found = self._found.get(part)
        if found is None:
            found = find_spans(part.regex, self.text) if part.may_match(self.text) else []
            self._found[part] = found
        return found

    def has(self, name: str, text: str | None = None, outside: Sequence[TextSpan] = ()) -> bool:
        """Whether a cue occurs in ``text`` (default: this sentence), outside the given occurrences."""
        covered = _Covered(outside)
        return any(covered.is_apart(s) for s in self._find_cue(name, text))

    def match(self, parts: Sequence[RulePart]) -> list[TextSpan] | None:
        """The first undenied occurrence of every part, or None where one has none.

        A denial inside another part is no denial: in "can not breathe" the rule itself says "can not".
        """
        occurrences = []
        for part in parts:
            occurrences.append(self._spans(part))
            if not occurrences[-1]:
                return None
        own = _Covered(s for part in occurrences for s in part)
        found = [next((s for s in part if not self.is_denied(s, own)), None) for part in occurrences]
        whole = [s for s in found if s is not None]
        return whole if len(whole) == len(parts) else None

    def counts(self, found: Sequence[TextSpan], lasting: bool) -> bool:
        """Whether occurrences are the patient's and present; ``lasting`` signs count after they stop."""
        first = min(found)
        return not (
            (not lasting and self.is_over(found))
            or self.is_denied_after(first)
            or self.is_long_ago(found)
            or self.is_someone_else(first)
            or self.is_only_asked(first)
        )

    def is_denied(self, span: TextSpan, own: _Covered = _NOTHING) -> bool:
        """Whether a denial outside ``own`` precedes the occurrence in the same clause."""
        if span.start in self._denial_starts:
            return False  # "no flutters, no kicks": the second "no" is the sign itself
        if span.start in self._denied_next:
            return True
        for denial in reversed(self._denials[: bisect_right(self._denial_ends, span.start)]):
            if span.start - denial.end > FARTHEST:
                return False
            if own.is_apart(denial) and self._reaches(denial, span):
                return True
        return False

    def is_denied_after(self, first: TextSpan) -> bool:
        """Whether a denial follows the occurrence: "chest pain? no", "pain: i have had neither"."""
        if _ANSWERED_NO.fullmatch(self.after):
            return True
        late = any(s.start >= first.end for s in self._find_cue("denied_after"))
        return late or self.has("denied_after", self.after)

    def _reaches(self, denial: TextSpan, span: TextSpan) -> bool:
        between = self.text[denial.end : span.start]
        size = len(between) if self.language == "zh" else len(between.split())
        listing = self.text[denial.start : denial.end] in _LISTING or self._is_listed(span)
        stops = re.search(r"[:，]" if listing else r"[,:，]", between)
        return (
            size <= REACH[self.language] and not stops and not load_cue(self.language, "breaks_denial").search(between)
        )

    def _is_listed(self, span: TextSpan) -> bool:
        """Whether it is in a list ended by "or": "not had pain or bleeding"."""
        joins = self._find_cue("list")
        near = joins[bisect_left(joins, (span.start - 60, 0)) : bisect_left(joins, (span.end + 41, 0))]
        return any(j.end <= span.start <= j.end + 12 or span.end <= j.start <= span.end + 40 for j in near)

    def is_over(self, found: Sequence[TextSpan]) -> bool:
        """Whether this or the next sentence says that it stopped and did not return."""
        next_says = bool(_FOLLOWS.match(self.after)) and self.has("over", self.after)
        stopped = self.has("over", outside=found) or next_says
        back = self.has("returns", self.after) and not _ASKS.match(self.after)
        return stopped and not self.has("returns", outside=found) and not back

    def is_long_ago(self, found: Sequence[TextSpan]) -> bool:
        """Whether it belongs to another time and nothing says that it is so now."""
        return self.has("long_ago") and not self.has("returns", outside=found) and not self.is_present()

    def is_someone_else(self, first: TextSpan) -> bool:
        """Whether it is another person's, named here or in the sentence before."""
        if self.has("right_now"):
            return False
        for other in self._find_cue("someone_else"):
            between = self.text[other.end : first.start]
            if other.start <= first.start and not load_cue(self.language, "first_person").search(between):
                return True
        return bool(_THIRD_PERSON.match(self.text)) and self.has("someone_else", self.before)

    def is_only_asked(self, first: TextSpan) -> bool:
        """Whether it is asked about in general, not reported."""
        begins = load_cue(self.language, "question").match(self.text)
        if begins and not self.text[begins.end() :].startswith(" not ") and not self.has("of_her"):
            return True
        asked = any(c.start <= first.start for c in self._find_cue("only_asked"))
        return (asked or self.has("general")) and not self.is_present()

    def is_present(self) -> bool:
        """Whether it is about the patient now ("i have"), not "should i have"."""
        return self.has("present", outside=self._find_cue("not_present"))
