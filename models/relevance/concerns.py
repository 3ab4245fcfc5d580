"""Say which findings published guidance names for a question's concern.

    relevance(q, s) = max_c match(q, c) · [c names the finding of s]
    match(q, c)     = 1 where q holds a word or a drug of c, else (max_w cos(e(q), e(w)) − 0.4) / 0.2, cut to [0, 1]

The table is ``template_files/relevant_findings.yaml``: concerns c with their source, wordings w and findings. A small
clinic has few replies to like questions, and a fact that like patients lack has none: the table says what any clinician
would look at. It is a feature of the initial ranking and of the policy, with weights learnt from replies, from a prior
by which what is present counts more than what is absent. It selects nothing by itself, but for what a row's
``cautions`` name (``models.relevance.cautions``). A fact is named by its key, so its language does not matter. The
paper has no counterpart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from weakref import WeakKeyDictionary

import numpy as np
import yaml

from models.code_sets import CodeSet
from models.encoder import Encoder
from models.safety.drug_names import compile_drug_names, load_substances
from models.safety.triage.text_normalization import normalize_text
from models.templates import TEMPLATES

UNLIKE, LIKE = 0.4, 0.6  # cosines of a question that matches not at all, and of one that is of the same kind
STATES = ("present", "absent")
EXPECTED = (0.75, 0.25)  # uptake of a relevant finding, by state, before a reply is read
USUAL = 0.08  # that of any finding
#: Log odds that relevance adds before a reply is read, by state.
PRIOR = tuple(round(math.log(p / (1 - p) * (1 - USUAL) / USUAL), 1) for p in EXPECTED)
CODE = "code:"


@dataclass(frozen=True, slots=True, eq=False)
class Concern:
    """One row of the table; ``words`` finds what names the concern in a normalised question."""

    name: str
    source: str
    wordings: tuple[str, ...]
    words: re.Pattern[str]
    findings: frozenset[str]
    codes: CodeSet
    cautions: tuple[str, ...] = ()

    def names_finding(self, finding: str) -> bool:
        """Whether the concern names what :func:`find_finding` returns."""
        return finding.removeprefix(CODE) in self.codes if finding.startswith(CODE) else finding in self.findings


@cache
def load_concerns() -> tuple[Concern, ...]:
    """Load the table, in its order."""
    rows = yaml.safe_load((TEMPLATES / "relevant_findings.yaml").read_text("utf-8"))
    substances = load_substances()
    return tuple(
        Concern(
            row["concern"],
            row["source"],
            tuple(row["en"]),
            compile_drug_names(
                frozenset(map(normalize_text, [*row["zh"], *row.get("drugs", ())]))
                | {other for drug in row.get("drugs", ()) for other in substances.get(drug, ())}
            ),
            frozenset(row["findings"]),
            _read_codes(row.get("codes", ())),
            tuple(row.get("cautions", ())),
        )
        for row in rows
    )


_wordings: WeakKeyDictionary[Encoder, np.ndarray] = WeakKeyDictionary()


def match_concerns(question: str, encoder: Encoder) -> np.ndarray:
    """Match a question with every concern, [concerns] between 0 and 1."""
    concerns = load_concerns()
    starts = np.cumsum([0, *(len(c.wordings) for c in concerns[:-1])])
    nearest = np.maximum.reduceat(_encode_wordings(encoder) @ encoder.encode([question])[0], starts)
    plain = normalize_text(question)
    named = np.array([c.words.search(plain) is not None for c in concerns])
    near = np.clip((nearest - UNLIKE) / (LIKE - UNLIKE), 0.0, 1.0)
    return np.asarray(np.where(named, 1.0, np.round(near, 4)), np.float32)


def _encode_wordings(encoder: Encoder) -> np.ndarray:
    """Every concern's wordings as vectors; once, because every question is compared with them."""
    if encoder not in _wordings:
        _wordings[encoder] = encoder.encode([wording for c in load_concerns() for wording in c.wordings])
    return _wordings[encoder]


def match_nothing() -> np.ndarray:
    """The matches of a question without a concern."""
    return np.zeros(len(load_concerns()), np.float32)


@lru_cache(maxsize=1 << 14)
def mark_finding(key: str) -> np.ndarray:
    """Mark which concerns name the finding that a sentence states, [concerns, ``STATES``] of 0 and 1.

    A value may be normal or not, so it is half of each.
    """
    finding, absent = find_finding(key), key.startswith("no.")
    marks = np.zeros((len(load_concerns()), len(STATES)), np.float32)
    named = np.array([c.names_finding(finding) for c in load_concerns()], np.float32)
    if key.endswith((".latest", ".change")):
        marks[:] = named[:, None] / 2
    else:
        marks[:, int(absent)] = named
    marks.flags.writeable = False
    return marks


def mark_findings(keys: Sequence[str]) -> np.ndarray:
    """Mark the findings of several sentences, [sentences, concerns, ``STATES``]."""
    return np.array([mark_finding(key) for key in keys], np.float32).reshape(-1, len(load_concerns()), len(STATES))


def compute_relevance(matches: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Compute the relevance [sentences, ``STATES``] of findings to a question's concerns."""
    return np.asarray((matches[:, None] * marks).max(1, initial=0.0))


def find_finding(key: str) -> str:
    """Find what a sentence is about: ``anaemia`` of ``no.anaemia``, ``haemoglobin`` of ``haemoglobin.latest``."""
    head, _, tail = key.partition(".")
    if head in ("condition", "suspected", "no"):
        return tail
    return head if tail in ("latest", "change") else key


def _read_codes(codes: Sequence[str]) -> CodeSet:
    exact = frozenset(code for code in codes if not code.endswith("*"))
    return CodeSet(exact, tuple(code[:-1] for code in codes if code.endswith("*")))
