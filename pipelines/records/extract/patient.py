"""Patient: birth, death, language."""

from __future__ import annotations

from models.vocabulary import BIRTH_CODE, DEATH_CODE, LANGUAGE_CODE
from pipelines.records.extract.facts import Context, Fact, Facts, latest_end, when
from pipelines.records.read.raw_resource import Resource


def patient(resource: Resource, context: Context) -> Facts:
    """Birth, language and death; a death without a date is known to lie before the drop's end."""
    birth = context.past(when(resource, "birthDate"), "birthDate")
    death = context.past(when(resource, "deceasedDateTime"), "deceasedDateTime")
    if resource.get("deceasedBoolean"):
        death = context.end
    facts = [Fact("patient", LANGUAGE_CODE, None, text=_language(resource), facet="language", known=birth)]
    if birth is not None:
        facts.append(Fact("patient", BIRTH_CODE, birth, known=birth))
    if death is not None:
        facts.append(Fact("patient", DEATH_CODE, death, facet="death", known=death))
    row = {"start": birth, "end": latest_end(resource, "deceasedDateTime")}
    return Facts(facts, [("patients", row)], facets=("", "death"))


def _language(resource: Resource) -> str:
    """``zh`` where Chinese is preferred (or the first said), else ``en``: the languages PMLM has templates for."""
    spoken = sorted(resource.get("communication", []), key=lambda c: not c.get("preferred", False))
    codes = [c.get("code", "") for s in spoken[:1] for c in s.get("language", {}).get("coding", [])]
    return "zh" if any(c.lower().startswith("zh") for c in codes) else "en"
