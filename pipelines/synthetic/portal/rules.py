"""Load the reply rules: one YAML file per topic in ``rules/``, each with its guideline.

A row is a condition, the facts it reads and what it says. Wordings come in families so that some can be left out of
training. Loading checks every row: its condition must parse, every fact must exist, and each segment key it declares
must belong to a fact it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Literal, Self

import yaml
from pydantic import BaseModel, Field, PrivateAttr, model_validator

from pipelines.synthetic.portal.expressions import RuleCondition, RuleError, parse_condition
from pipelines.synthetic.records.chart import FACT_KEYS
from pipelines.synthetic.records.options import Mechanism

FOLDER = Path(__file__).parent / "rules"

Area = Literal["pregnancy", "postpartum", "contraception", "gynecology"]


class RuleRow(BaseModel, extra="forbid"):
    """If ``when`` is true, the reply has one of ``say``, detailed also one of ``explain``."""

    id: str
    when: str
    facts: list[str] = Field(min_length=1)
    say: list[str] = Field(min_length=1)
    explain: list[str] = Field(min_length=1)
    _condition: RuleCondition = PrivateAttr()

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self._condition = parse_condition(self.when)
        named = self._condition.names | {name for text in self.say + self.explain for name in _placeholders(text)}
        unknown = sorted(named - FACT_KEYS.keys())
        if unknown:
            raise RuleError(f"rule {self.id}: no chart has the fact {unknown[0]!r}")
        stray = sorted(set(self.facts) - {FACT_KEYS[name] for name in named})
        if stray:
            raise RuleError(f"rule {self.id}: declares {stray[0]!r} but reads no fact of it")
        return self

    @property
    def condition(self) -> RuleCondition:
        return self._condition


def _placeholders(text: str) -> Iterator[str]:
    return (name for _, name, _, _ in Formatter().parse(text) if name)


class Topic(BaseModel, extra="forbid"):
    """One topic patients ask about: ``rows`` by clinical weight, ``general`` sentences for everyone.

    ``mechanism`` is how similar patients matter to its replies, where the clinic's options ask for it; a topic without
    one is a negative control. ``quotes`` is the outcome that the mechanism ``quoted_outcomes`` quotes.
    """

    topic: str
    title: str
    area: Area
    guideline: str = Field(min_length=5)
    asked_when: str
    wordings: dict[str, list[str]] = Field(min_length=2)
    general: list[str] = Field(min_length=2, max_length=2)
    rows: list[RuleRow] = Field(min_length=7)
    urgent: bool = False
    mechanism: Mechanism | None = None
    quotes: Literal["gestational_diabetes", "hypertension"] | None = None
    _asked: RuleCondition = PrivateAttr()

    @model_validator(mode="after")
    def _askable(self) -> Self:
        self._asked = parse_condition(self.asked_when)
        unknown = sorted(self._asked.names - FACT_KEYS.keys())
        if unknown:
            raise RuleError(f"topic {self.topic}: no chart has the fact {unknown[0]!r}")
        if (self.quotes is not None) != (self.mechanism == "quoted_outcomes"):
            raise RuleError(f"topic {self.topic}: quoted_outcomes quotes an outcome, no other mechanism does")
        if self.urgent and self.mechanism:
            raise RuleError(f"topic {self.topic}: in an emergency no other patient matters")
        return self

    @property
    def asked(self) -> RuleCondition:
        """Whether a patient with this chart may ask about the topic."""
        return self._asked

    @property
    def keys(self) -> frozenset[str]:
        """Every segment key that may matter for the topic."""
        return frozenset(key for row in self.rows for key in row.facts)


@lru_cache(maxsize=1)
def load_topics() -> tuple[Topic, ...]:
    """Load all topics, in order of their name."""
    return tuple(load_topic(path) for path in sorted(FOLDER.glob("*.yaml")))


def load_topic(path: Path) -> Topic:
    """Load one rule file; RuleError names the file and what is wrong in it."""
    try:
        topic = Topic.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValueError, yaml.YAMLError, RuleError) as error:
        raise RuleError(f"{path.name}: {error}") from error
    if topic.topic != path.stem:
        raise RuleError(f"{path.name}: the topic is called {topic.topic!r}")
    return topic
