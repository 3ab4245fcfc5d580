"""Write the rule tables of docs/clinic.md: ``python -m pipelines.synthetic.portal.catalogue``."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.synthetic.portal.rules import Topic, topics
from pmlm.settings import PROJECT

PAGE = PROJECT / "docs" / "clinic.md"
_START, _END = "<!-- generated: topics -->\n", "<!-- end of topics -->\n"


def tables() -> str:
    """One overview table, then one table of rules a topic, as Markdown."""
    return "\n".join([*_overview(), *(line for topic in topics() for line in _rules(topic))]) + "\n"


def _overview() -> Iterator[str]:
    yield "| topic | area | guideline | rules | facts that may matter | wordings |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for t in topics():
        wordings = sum(map(len, t.wordings.values()))
        yield f"| {t.title} (`{t.topic}`) | {t.area} | {t.guideline} | {len(t.rows)} | {len(t.keys)} | {wordings} |"


def _rules(topic: Topic) -> Iterator[str]:
    yield f"\n### {topic.title}\n"
    yield f"Guideline: {topic.guideline}. Asked when `{topic.asked_when}`.\n"
    yield "| rule | when | reads | says (first wording) |"
    yield "| --- | --- | --- | --- |"
    for row in topic.rows:
        keys = ", ".join(f"`{key}`" for key in row.facts)
        yield f"| `{row.id}` | `{row.when}` | {keys} | {row.say[0]} |"


def renewed(page: str) -> str:
    """The page with its generated part replaced."""
    before, _, rest = page.partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}{tables()}{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
