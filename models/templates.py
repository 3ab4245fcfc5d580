"""Render the sentences of segments and prompts, and make record text harmless.

``template_files/<language>/v2.yaml`` has one sentence per key (Jinja2, so that plurals are with the words);
``render_sentence`` renders one. Under a language that ``speak_to_patient`` names, the same key says the same to the
patient, in the words of ``v2.you.yaml``. ``sanitize_line`` and ``sanitize_record_text`` make foreign text harmless:
whatever a record, a question or an external file contains becomes a single line that can neither close a fence nor
imitate a chat template, and (for displays) carries no date or long number. The paper has no counterpart: this is what
keeps "the prompt states only what the record does" true for hostile records.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

TEMPLATE_VERSION = "v2"
LANGUAGES = ("en", "zh")
#: After a language: its sentences in words for the patient.
_TO_PATIENT = "-you"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
TEMPLATES = Path(__file__).parent / "template_files"
MAX_RECORD_TEXT = 120


class _CachingEnvironment(jinja2.Environment):
    """Compiles each of the few template sources once; every request renders several."""

    def from_string(self, source: Any, *args: Any, **more: Any) -> jinja2.Template:
        return self._compile_once(source) if not args and not more else super().from_string(source, *args, **more)

    @lru_cache(maxsize=256)  # noqa: B019 (there is one environment per process)
    def _compile_once(self, source: Any) -> jinja2.Template:
        return super().from_string(source)


ENVIRONMENT = _CachingEnvironment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # the output is plain text; sanitize_line is its escaping
    trim_blocks=True,
    lstrip_blocks=True,
)

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?"
    r"|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
#: What a reader would take for a calendar date. A bare year counts unless a unit follows ("2000 mg").
DATE_LIKE = re.compile(
    r"\b\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?(?:T[\d:.]+Z?)?"
    r"|\b\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}\b(?:,?\s+\d{{2,4}})?"
    rf"|\b{_MONTH}\.?\s+\d{{1,4}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}})?"
    r"|\d{4}\s*年(?:\s*\d{1,2}\s*月)?(?:\s*\d{1,2}\s*[日号])?|(?:\d{2}\s*年\s*)?\d{1,2}\s*月\s*\d{1,2}\s*[日号]"
    r"|\b(?:19|20)\d{2}\b(?!\s*(?:mg|mcg|ug|ml|g|unit|units|iu|mmol)\b)",
    re.IGNORECASE,
)
_LONG_NUMBER = re.compile(r"\d[\d\s().-]{5,}\d")  # phone, record or account numbers
_SEMANTIC_TAG = re.compile(
    r"\s*\((?:disorder|finding|situation|procedure|regime/therapy|person|morphologic abnormality|substance|organism)"
    r"\)\s*$"
)
_FENCE = str.maketrans("<>|`{}＜＞｜｀｛｝﹤﹥﹛﹜", "‹›¦'()‹›¦'()‹›()")


def speak_to_patient(language: str) -> str:
    """Name the language whose sentences are those of ``language`` in words for the patient."""
    return f"{language}{_TO_PATIENT}"


@cache
def _load_sentences(language: str) -> dict[str, Any]:
    if language.endswith(_TO_PATIENT):
        plain = language.removesuffix(_TO_PATIENT)
        return _override(_load_sentences(plain), _read_file(plain, f"{TEMPLATE_VERSION}.you.yaml"))
    return _read_file(language, f"{TEMPLATE_VERSION}.yaml")


def _read_file(language: str, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATES / language / name).read_text("utf-8"))
    return loaded


def _override(node: Any, by: Any) -> Any:
    """``node`` with every key of ``by`` in place of its own."""
    if not isinstance(node, dict) or not isinstance(by, dict):
        return by
    return {**node, **{name: _override(node.get(name), child) for name, child in by.items()}}


@cache
def _compile_sentence(language: str, key: str) -> jinja2.Template:
    node: Any = _load_sentences(language)
    for part in key.split("."):
        node = node[part]
    return ENVIRONMENT.from_string(node)


def render_sentence(key: str, language: str = "en", **values: Any) -> str:
    """Render the sentence at ``key``, a dotted path; KeyError for an unknown one."""
    return _compile_sentence(language, key).render(values)


def look_up_label(group: str, name: str, default: str, language: str = "en") -> str:
    """Look up a name's label in ``labels.<group>`` of the YAML file, else ``default``."""
    found: str = _load_sentences(language).get("labels", {}).get(group, {}).get(name, default)
    return found


def format_ago(then: datetime, now: datetime, language: str = "en") -> str:
    """Format how long ago, in days, weeks, months or years; never a date."""
    days = max(0, (now - then).days)
    if days < 14:
        return render_sentence("ago.today" if days == 0 else "ago.days", language, n=days)
    if days < 90:
        return render_sentence("ago.weeks", language, n=days // 7)
    if days < 730:
        return render_sentence("ago.months", language, n=round(days / 30.44))
    return render_sentence("ago.years", language, n=days // 365)


def format_span(days: int, language: str = "en") -> str:
    """Format a length of time in days, weeks, months or years."""
    if days < 14:
        return render_sentence("span.days", language, n=days)
    if days < 90:
        return render_sentence("span.weeks", language, n=days // 7)
    if days < 730:
        return render_sentence("span.months", language, n=round(days / 30.44))
    return render_sentence("span.years", language, n=days // 365)


@lru_cache(maxsize=20_000)
def sanitize_line(text: str) -> str:
    """Make ``text`` one line of visible characters that cannot open or close a fence."""
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join(visible.translate(_FENCE).split())


@lru_cache(maxsize=20_000)
def sanitize_record_text(text: str) -> str:
    """Make a record's text harmless: one short line, no dates or long numbers."""
    line = _SEMANTIC_TAG.sub("", sanitize_line(unicodedata.normalize("NFKC", text)))
    line = _LONG_NUMBER.sub(" ", DATE_LIKE.sub(" ", line))
    line = " ".join(line.split()).strip(" ,;.:-")
    if len(line) > MAX_RECORD_TEXT:
        line = line[:MAX_RECORD_TEXT].rsplit(" ", 1)[0].rstrip(" ,;.:-")
    return line[0].lower() + line[1:] if len(line) > 1 and line[1].islower() else line
