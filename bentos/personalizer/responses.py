"""One personalisation as the endpoint tells it: every candidate with its fate, flags, program and versions."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from bentos.personalizer.release import Release
from models.feature_row import has_record
from models.prompt.personalize import Personalized
from models.safety.answer_check import escalation
from models.schema import FeatureRow
from pmlm.api_types import Language, PersonalizeResponse, Program, PromptSegment, RedFlag, Versions


def respond(
    id_: str, made: Personalized, row: FeatureRow, served: Release, as_of: datetime, degraded: bool = False
) -> PersonalizeResponse:
    """``made`` from ``row`` under the release ``served``, as the answer to a request; ``degraded`` says that the row
    holds pinned facts alone because the features could not be read."""
    position = {key: rank for rank, key in enumerate(made.kept)}
    return PersonalizeResponse(
        id=id_,
        prompt=made.prompt,
        initial_prompt=made.initial,
        segments=[
            PromptSegment(
                key=segment.key,
                kind=segment.kind,
                text=segment.text,
                pinned=segment.pinned,
                kept=segment.pinned or segment.key in position,
                sources=list(segment.sources),
                position=position.get(segment.key),
            )
            for segment in made.segments
        ],
        red_flags=[RedFlag(sign=f.sign, label=f.label, why=f.why, source=f.source) for f in made.flags],
        escalation=escalation(made.flags, made.language),
        style=made.style,
        language=cast(Language, made.language),
        program=Program(picks=list(made.program.picks), style=made.program.style, log_prob=made.program.log_prob),
        versions=versions(served, as_of),
        personalization="full" if has_record(row) and not degraded else "none",
        degraded="features" if degraded else None,
    )


def versions(served: Release, as_of: datetime) -> Versions:
    """What made an answer of the release ``served`` at ``as_of``."""
    return Versions(
        release=served.id,
        bento=served.bento,
        refiner=served.refiner,
        template=served.template,
        feature_service=served.feature_service,
        feature_schema=served.feature_schema,
        encoder=served.encoder,
        as_of=as_of.isoformat(),
    )
