"""Build the response of a personalisation: every candidate and its fate, flags, program, versions."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from bentos.personalizer.release import Release
from models.feature_row import has_record
from models.prompt.personalize import Personalized
from models.safety.escalation import build_escalation
from models.safety.triage.red_flag_table import Flag
from models.schema import FeatureRow
from pmlm.api_types import Language, PersonalizeResponse, Program, PromptSegment, RedFlag, Versions


def build_response(
    id_: str,
    personalized: Personalized,
    row: FeatureRow,
    served: Release,
    as_of: datetime,
    degraded: bool = False,
    country: str | None = None,
) -> PersonalizeResponse:
    """The response for a prompt made from ``row`` under the release ``served``.

    ``degraded``: the row holds pinned facts alone, because the features could not be read.
    ``country`` chooses the crisis line.
    """
    position = {key: rank for rank, key in enumerate(personalized.kept)}
    return PersonalizeResponse(
        id=id_,
        prompt=personalized.prompt,
        initial_prompt=personalized.initial,
        segments=[
            PromptSegment.model_construct(  # typed as it is: checking 100 of them would take a millisecond
                key=segment.key,
                kind=segment.kind,
                text=segment.text,
                pinned=segment.pinned,
                kept=segment.pinned or segment.key in position,
                sources=list(segment.sources),
                position=position.get(segment.key),
                donors=segment.donors,
                share=segment.share,
                guidance=segment.guidance,
            )
            for segment in personalized.segments
        ],
        red_flags=_list_flags(personalized.flags),
        escalation=build_escalation(personalized.flags, personalized.language, country),
        style=personalized.style,
        language=cast(Language, personalized.language),
        program=Program(
            picks=list(personalized.program.picks),
            style=personalized.program.style,
            log_prob=personalized.program.log_prob,
        ),
        versions=list_versions(served, as_of),
        personalization="full" if has_record(row) and not degraded else "none",
        degraded="features" if degraded else None,
    )


def set_flags(response: PersonalizeResponse, flags: tuple[Flag, ...], country: str | None) -> PersonalizeResponse:
    """The response with these red flags and their escalation."""
    escalation = build_escalation(flags, response.language, country)
    return response.model_copy(update={"red_flags": _list_flags(flags), "escalation": escalation})


def _list_flags(flags: tuple[Flag, ...]) -> list[RedFlag]:
    return [RedFlag(sign=f.sign, label=f.label, why=f.why, source=f.source) for f in flags]


def list_versions(served: Release, as_of: datetime) -> Versions:
    """The versions behind an answer of the release ``served`` at ``as_of``."""
    return Versions(
        release=served.id,
        bento=served.bento,
        refiner=served.refiner,
        template=served.template,
        feature_service=served.feature_service,
        feature_schema=served.feature_schema,
        encoder=served.encoder,
        as_of=as_of.isoformat(),
        ranker=served.ranker,
    )
