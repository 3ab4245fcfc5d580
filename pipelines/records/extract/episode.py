"""EpisodeOfCare: maternity care, which states a pregnancy and its end; other episodes state nothing."""

from __future__ import annotations

import re

from models.patient.pregnancy_statements import EPISODE_CODE
from models.vocabulary import CONDITION_END_CODE
from pipelines.records.extract.facts import END, RETRACTED, ExtractedFacts, ExtractionContext, Fact
from pipelines.records.read.coding import choose_coding
from pipelines.records.read.fhir_time import choose_latest, read_period_end, read_time
from pipelines.records.read.raw_resource import Resource

_NOT_BEGUN = (RETRACTED, "planned", "waitlist", "cancelled")
_OVER = ("finished",)
#: Antenatal care, maternity care, obstetrics, pregnancy (SNOMED); other codes by their words.
_MATERNITY = ("SNOMED//424525001", "SNOMED//310031001", "SNOMED//408470005", "SNOMED//394585009", "SNOMED//77386006")
_WORDS = re.compile(r"obstetric|maternity|antenatal|prenatal|pregnan|antepartum", re.I)
_NOT_HERS = re.compile(r"newborn|neonat|paediatric|pediatric|infertil|preconception|pre-pregnan", re.I)


def extract_episode(resource: Resource, context: ExtractionContext) -> ExtractedFacts:
    """The episode at its start, and its end where it is finished."""
    start = context.check_past(read_time(resource, "period"), "period.start")
    end = read_period_end(resource, "period")
    if resource["status"] in _NOT_BEGUN or not any(map(_is_maternity, resource.get("type", []))):
        return ExtractedFacts(facets=("", END))
    facts = [Fact("episode", EPISODE_CODE, start, text="maternity care", known=start)]
    if resource["status"] in _OVER:
        context.check_past(end, "period.end")
        at, span = (
            (choose_latest(end, start), None)
            if end is not None
            else context.bound_end("EpisodeOfCare", resource, start)
        )
        parent = ("EpisodeOfCare", resource["id"])
        facts.append(
            Fact(
                "episode.end",
                CONDITION_END_CODE,
                at,
                number=span,
                text=EPISODE_CODE,
                facet=END,
                known=at,
                parent=parent,
            )
        )
    else:
        context.mark_active("EpisodeOfCare", resource)
    return ExtractedFacts(facts, facets=(END,))


def _is_maternity(concept: Resource) -> bool:
    found = choose_coding(concept)
    texts = " ".join(
        [found.text, concept.get("text", ""), *(c.get("display") or "" for c in concept.get("coding", []))]
    )
    return not _NOT_HERS.search(texts) and (found.code in _MATERNITY or _WORDS.search(texts) is not None)
