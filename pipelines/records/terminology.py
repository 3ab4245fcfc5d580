"""Ask a terminology server what a clinic's own codes mean.

It is asked at night, by FHIR's ``$translate``, once for each code; answers are cached in the workspace, a code without
one too. Only codes that a drop has for at least two patients are asked for, so that no number of one person leaves the
clinic. A server that does not answer changes nothing: the cache stays, the night says so and goes on.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

from pipelines.records.read.code_map import SOUND_RELATIONS, TEXT, Key, find_concepts, list_codings
from pipelines.records.read.coding import look_up_system
from pipelines.records.read.resources import read_resources
from pmlm.settings import Settings
from pmlm.storage import read_json, write_json

FEWEST_PATIENTS = 2
MOST_CODES = 500  # asked for in one night
_TIMEOUT_S = 10.0


def read_translations(settings: Settings) -> dict[Key, Key]:
    """The cached targets by clinic's own coding."""
    return {key: target for key, target in _read_cache(settings).items() if target is not None}


def translate_drop(settings: Settings, drop: Path) -> str:
    """Ask for the drop's codes that nobody was asked for yet; return what was done, or "" without a server."""
    if settings.terminology_url is None:
        return ""
    cache = _read_cache(settings)
    wanted = [key for key in _list_own_codes(settings, drop) if key not in cache][:MOST_CODES]
    if not wanted:
        return ""
    asked = 0
    try:
        with httpx.Client(base_url=settings.terminology_url.rstrip("/") + "/", timeout=_TIMEOUT_S) as client:
            for key in wanted:
                cache[key] = _translate(client, *key)
                asked += 1
    except (httpx.HTTPError, ValueError) as error:
        return f"the terminology server did not answer ({type(error).__name__}): {len(wanted) - asked} codes wait"
    finally:
        if asked:
            _write_cache(settings, cache)
    return f"{sum(cache[key] is not None for key in wanted)} of {len(wanted)} new codes translated"


def _translate(client: httpx.Client, system: str, code: str) -> Key | None:
    """The first sound target in a system that PMLM reads; None where the server has none."""
    reply = client.get("ConceptMap/$translate", params={"system": system, "code": code})
    if reply.status_code in (400, 404, 422):  # the server knows no map for it
        return None
    reply.raise_for_status()
    for parameter in reply.json().get("parameter", []):
        parts = {part.get("name"): part for part in parameter.get("part", [])}
        relation = parts.get("equivalence", parts.get("relationship", {})).get("valueCode")
        concept = parts.get("concept", {}).get("valueCoding", {})
        if (
            parameter.get("name") == "match"
            and relation in SOUND_RELATIONS
            and look_up_system(concept.get("system", ""))
        ):
            return str(concept["system"]), str(concept["code"])
    return None


def _list_own_codes(settings: Settings, drop: Path) -> list[Key]:
    """List the codings of unknown systems that concern enough of the drop's patients, most first."""
    patients: defaultdict[Key, set[str]] = defaultdict(set)
    for raw in read_resources(drop, settings.max_line_mb << 20):
        resource: dict[str, Any] = raw.resource or {}
        of = resource.get("subject") or resource.get("patient")
        who = of.get("reference") if isinstance(of, dict) else None
        if isinstance(who, str):
            for concept in find_concepts(resource):
                own = [key for key in list_codings(concept) if key[0] and key[0] != TEXT]
                if own and all(look_up_system(system) is None for system, _ in own):
                    for key in own:
                        patients[key].add(who)
    found = {key: len(who) for key, who in patients.items() if len(who) >= FEWEST_PATIENTS}
    return sorted(found, key=lambda key: (-found[key], key))


def _read_cache(settings: Settings) -> dict[Key, Key | None]:
    path = _cache_path(settings)
    rows = read_json(path) if path.exists() else []
    return {(r["system"], r["code"]): (r["target"][0], r["target"][1]) if r["target"] else None for r in rows}


def _write_cache(settings: Settings, cache: dict[Key, Key | None]) -> None:
    rows = [{"system": key[0], "code": key[1], "target": cache[key]} for key in sorted(cache)]
    write_json(_cache_path(settings), rows)


def _cache_path(settings: Settings) -> Path:
    return settings.workspace / "data" / "codes" / "translations.json"
