"""Write the rule tables of docs/clinic.md: ``python -m pipelines.synthetic.portal.catalogue``."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.synthetic.portal.rules import Topic, load_topics
from pmlm.settings import PROJECT

PAGE = PROJECT / "docs" / "clinic.md"
_START, _END = "<!-- generated: topics -->\n", "<!-- end of topics -->\n"


def build_tables() -> str:
    """Build an overview table and one table of rules per topic, as Markdown."""
    return "\n".join([*_overview_lines(), *(line for topic in load_topics() for line in _rule_lines(topic))]) + "\n"


def _overview_lines() -> Iterator[str]:
    yield "| topic | area | guideline | rules | facts that may matter | wordings | like women matter by |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for t in load_topics():
        wordings = sum(map(len, t.wordings.values()))
        by = f"`{t.mechanism}`" if t.mechanism else "no: control"
        sizes = f"{len(t.rows)} | {len(t.keys)} | {wordings}"
        yield f"| {t.title} (`{t.topic}`) | {t.area} | {t.guideline} | {sizes} | {by} |"


def _rule_lines(topic: Topic) -> Iterator[str]:
    yield f"\n### {topic.title}\n"
    yield f"Guideline: {topic.guideline}. Asked when `{topic.asked_when}`.\n"
    yield "| rule | when | reads | says (first wording) |"
    yield "| --- | --- | --- | --- |"
    for row in topic.rows:
        keys = ", ".join(f"`{key}`" for key in row.facts)
        yield f"| `{row.id}` | `{row.when}` | {keys} | {row.say[0]} |"


def replace_tables(page: str) -> str:
    """Replace the generated part of the page."""
    before, _, rest = page.partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}{build_tables()}{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(replace_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
