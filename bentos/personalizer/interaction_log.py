"""Record interactions: one JSON line each with hashes, keys, edit program; counts; trace spans.

No free text and no identifier: patient and question are keyed hashes, which the clinic's own key alone can link
again (so that a rating may later be credited to the program that earned it).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field

from bentos.personalizer.prepared_prompt import PreparedPrompt
from bentos.telemetry import metrics, tracing
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import find_gravest_label
from pmlm.api_types import AnswerResponse, LLMReport, PersonalizeResponse, Program, Versions
from pmlm.settings import Settings
from pmlm.storage import append_lines, check_room, read_lines


class Interaction(BaseModel):
    """One line of the log; ``seconds`` are parts of the latency, ``words`` the answer's length."""

    id: str
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    endpoint: str
    patient: int
    question: int
    language: str
    candidates: int
    kept: list[str]
    program: Program
    signs: list[str]
    personalization: str
    degraded: str | None = None
    versions: Versions
    seconds: dict[str, float]
    llm: str | None = None
    llm_error: str | None = None
    findings: list[str] = Field(default_factory=list)
    words: int | None = None


class InteractionLog:
    """Append interactions to ``<folder>/<day>.jsonl``, one write per line.

    The file has mode 600; processes may share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, interaction: Interaction) -> None:
        append_lines(self._path(interaction.at), interaction.model_dump_json() + "\n")

    def check(self) -> None:
        """Raise :class:`OSError` where a line could not be appended now, as far as that can be known."""
        check_room(self._path(datetime.now(UTC)))

    def _path(self, at: datetime) -> Path:
        return self._folder / f"{at:%Y%m%d}.jsonl"


def find_interaction(folder: Path, id_: str) -> Interaction | None:
    """The line of an answer, searched from the newest day; None where there is none."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        for interaction in read_lines(path, lambda line: _parse_if_named(line, id_)):
            if interaction is not None and interaction.id == id_:
                return interaction
    return None


def _parse_if_named(line: bytes, id_: str) -> Interaction | None:
    """The interaction of a line that has this id; the others need no parsing."""
    return Interaction.model_validate_json(line) if id_.encode() in line else None


def describe_interaction(
    settings: Settings, prepared: PreparedPrompt, endpoint: str, response: PersonalizeResponse
) -> Interaction:
    """The line of an answer: no text and no identifier."""
    llm = response.llm if isinstance(response, AnswerResponse) else None
    return Interaction(
        id=response.id,
        endpoint=endpoint,
        patient=settings.pseudonym("interaction", str(prepared.subject)),
        question=settings.pseudonym("question", prepared.question),
        language=response.language,
        candidates=len(response.segments),
        kept=[s.key for s in response.segments if s.kept],
        program=response.program,
        signs=[flag.sign for flag in response.red_flags],
        personalization=response.personalization,
        degraded=response.degraded,
        versions=response.versions,
        seconds=prepared.seconds,
        llm=llm.model if llm else None,
        llm_error=llm.error if llm else None,
        findings=llm.findings if llm else [],
        words=len(response.answer.split()) if isinstance(response, AnswerResponse) else None,
    )


def observe_interaction(
    endpoint: str,
    response: PersonalizeResponse,
    flags: tuple[Flag, ...],
    seconds: Mapping[str, float],
    llm: LLMReport | None,
    base_url: str | None,
) -> None:
    """Count a recorded interaction, and export its spans where traces are asked for."""
    label = find_gravest_label(flags)
    error, findings = (llm.error, llm.findings) if llm else (None, [])
    metrics.count_interaction(endpoint, response.personalization, label, seconds, error, findings)
    attributes = {
        "pmlm.endpoint": endpoint,
        "pmlm.release": response.versions.release,
        "pmlm.refiner": response.versions.refiner,
        "pmlm.candidates": len(response.segments),
        "pmlm.kept": sum(s.kept for s in response.segments),
        "pmlm.style": response.style,
        "pmlm.triage": label,
        "pmlm.personalization": response.personalization,
    }
    call = tracing.LLMCall(llm.model, None if llm.embedded else base_url, llm.error) if llm else None
    tracing.export_interaction(attributes, seconds, call)
