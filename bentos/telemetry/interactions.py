"""What is counted and traced of one interaction, from what is recorded of it: numbers and names of ours, no text."""

from __future__ import annotations

from collections.abc import Mapping

from bentos.telemetry import metrics, tracing
from models.safety.answer_check import label_of
from models.safety.triage.red_flag_table import Flag
from pmlm.api_types import LLMReport, PersonalizeResponse


def note(
    endpoint: str,
    response: PersonalizeResponse,
    flags: tuple[Flag, ...],
    seconds: Mapping[str, float],
    llm: LLMReport | None,
    base_url: str | None,
) -> None:
    """Count an interaction that has just been recorded, and export its spans where traces are asked for."""
    label = label_of(flags)
    error, findings = (llm.error, llm.findings) if llm else (None, [])
    metrics.interaction(endpoint, response.personalization, label, seconds, error, findings)
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
    call = tracing.Call(llm.model, None if llm.embedded else base_url, llm.error) if llm else None
    tracing.interaction(attributes, seconds, call)
