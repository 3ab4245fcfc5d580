"""Make the refined prompt of a feature row and a question.

    S = segments(x_t),  p_0 = render(rank(q, S)),  a = π(q, S),  p = render(S_0 ∪ a)

The paper's two steps, initial prompt and refinement, in the one function that training, ``pmlm ask`` and the endpoint
share: what was trained is what is served. The question is triaged first, by code outside everything that learns.

Run: ``pmlm ask``, ``pmlm refine``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from models.encoder import Encoder
from models.prompt.candidates import build_candidates
from models.prompt.ranking import Questioner, Ranker, rank_segments
from models.prompt.rendering import render_prompt
from models.refiner.interface import Refiner
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import TriageContext, find_red_flags, read_context
from models.schema import EditProgram, FeatureRow, Segment
from models.templates import LANGUAGES, TEMPLATE_VERSION

CandidateBuilder = Callable[[FeatureRow, datetime, Callable[[str], int], str], tuple[Segment, ...]]


@dataclass(frozen=True, slots=True)
class Personalized:
    """Everything one personalisation decided.

    ``segments`` are all candidates in the initial prompt's order; ``kept`` (the API's word) the free keys in the
    policy's order of choice; ``dropped`` the other free keys, in the initial order; ``flags`` the red flags of the
    question and ``context`` what the record says of pregnancy, by which they were found; ``ranker`` what ordered the
    initial prompt (None: nearness to the question).
    """

    initial: str
    prompt: str
    segments: tuple[Segment, ...]
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    program: EditProgram
    flags: tuple[Flag, ...]
    style: str
    language: str
    ranker: str | None = None
    template_version: str = TEMPLATE_VERSION
    context: TriageContext = field(default_factory=TriageContext)


def apply_program(
    segments: tuple[Segment, ...], program: EditProgram, language: str = "en"
) -> tuple[str, tuple[str, ...]]:
    """Render the refined prompt of a program over ranked candidates; also return its free keys.

    A pick that is no free candidate, or comes twice, is passed over: whatever a program says, the prompt holds
    the pinned segments and nothing that the record does not support.
    """
    free = {s.key: s for s in segments if not s.pinned}
    kept = tuple(key for key in dict.fromkeys(program.picks) if key in free)
    pinned = tuple(s for s in segments if s.pinned)
    return render_prompt((*pinned, *(free[key] for key in kept)), program.style, language), kept


def personalize(
    row: FeatureRow,
    question: str,
    as_of: datetime,
    refiner: Refiner,
    encoder: Encoder,
    count: Callable[[str], int],
    language: str = "en",
    offered: CandidateBuilder = build_candidates,
    ranker: Ranker | None = None,
    subject_id: int | None = None,
) -> Personalized:
    """Initial and refined prompt of one question; an unknown ``language`` is answered in English.

    ``ranker`` orders the initial prompt for the patient ``subject_id``; without one nearness to the question does.

    ``offered`` builds the candidates; another function than ``build_candidates`` must build the same ones.
    """
    language = language if language in LANGUAGES else "en"
    # first, because its rules need no vector: the caller may embed the question meanwhile
    context = read_context(row, as_of)
    flags = find_red_flags(question, language, context, encoder)
    segments = rank_segments(
        question, offered(row, as_of, count, language), encoder, ranker, Questioner(subject_id, as_of)
    )
    program = refiner.refine(question, segments)
    return _assemble(segments, program, flags, context, language, ranker.id if ranker else None)


def personalize_pinned_only(
    row: FeatureRow, question: str, as_of: datetime, encoder: Encoder, count: Callable[[str], int], language: str = "en"
) -> Personalized:
    """Make the prompt of a row that has pinned facts alone: no candidates, no policy.

    A free sentence of such a row could state as absent what was merely not read.
    """
    language = language if language in LANGUAGES else "en"
    context = read_context(row, as_of)
    flags = find_red_flags(question, language, context, encoder)
    segments = tuple(s for s in build_candidates(row, as_of, count, language) if s.pinned)
    return _assemble(segments, EditProgram(()), flags, context, language)


def _assemble(
    segments: tuple[Segment, ...],
    program: EditProgram,
    flags: tuple[Flag, ...],
    context: TriageContext,
    language: str,
    ranker: str | None = None,
) -> Personalized:
    prompt, kept = apply_program(segments, program, language)
    return Personalized(
        initial=render_prompt(segments, "plain", language),
        prompt=prompt,
        segments=segments,
        kept=kept,
        dropped=tuple(s.key for s in segments if not s.pinned and s.key not in kept),
        program=program,
        flags=flags,
        style=program.style,
        language=language,
        ranker=ranker,
        context=context,
    )
