"""Rule files: what every topic and row states, and errors of wrong files."""

from pathlib import Path

import pytest

from models.vocabulary import CONCEPTS, DRUG_CLASSES, SIGNALS
from pipelines.synthetic.portal import catalogue
from pipelines.synthetic.portal.expressions import RuleError
from pipelines.synthetic.portal.rules import load_topic, load_topics
from pipelines.synthetic.records.chart import FACT_KEYS

BODIES = ("ACOG", "NICE", "WHO", "CDC")


def known_keys() -> set[str]:
    """The grammar of segment keys that a candidate sentence can have."""
    signals = {"blood_pressure"} | {s.name for s in SIGNALS} - {"systolic", "diastolic"}
    keys = {f"{name}.{what}" for name in signals for what in ("latest", "change")}
    keys |= {f"condition.{c.name}" for c in CONCEPTS} | {f"no.{c.name}" for c in CONCEPTS if c.negative}
    keys |= {f"medicine.{name}" for name in DRUG_CLASSES}
    return keys | {
        "pregnancy", "allergies", "age", "smoking", "medicines.none", "visits.missed", "visits.emergency",
        "history.pregnancies", "history.miscarriages",
    }  # fmt: skip


def test_every_fact_of_a_chart_has_a_known_segment_key() -> None:
    assert set(FACT_KEYS.values()) <= known_keys()


@pytest.mark.parametrize("topic", load_topics(), ids=lambda t: t.topic)
class TestEveryTopic:
    def test_names_a_public_guideline(self, topic) -> None:
        assert topic.guideline.startswith(BODIES)

    def test_has_seven_facts_or_more_that_may_matter(self, topic) -> None:
        assert len(topic.keys) >= 7
        assert topic.keys <= known_keys()

    def test_is_asked_in_eight_wordings_or_more(self, topic) -> None:
        wordings = [text for family in topic.wordings.values() for text in family]
        assert len(set(wordings)) == len(wordings) >= 8

    def test_states_what_is_absent_as_well_as_what_is_there(self, topic) -> None:
        assert topic.urgent or any(key.startswith("no.") for key in topic.keys)

    def test_rules_have_names_of_their_own(self, topic) -> None:
        assert len({row.id for row in topic.rows}) == len(topic.rows)


def test_sample_covers_all_four_areas() -> None:
    assert {t.area for t in load_topics()} == {"pregnancy", "postpartum", "contraception", "gynecology"}
    assert len(load_topics()) >= 10


def test_documented_rules_are_those_in_force() -> None:
    page = catalogue.PAGE.read_text(encoding="utf-8")
    assert catalogue.replace_tables(page) == page


GOOD = """\
topic: sleep
title: Sleep
area: pregnancy
guideline: NICE NG201
asked_when: pregnant
wordings: {plain: ["Why?"], brief: ["Sleep?"]}
general: [Rest., Rest more.]
rows:
"""
ROW = "- {{id: r{n}, when: {when}, facts: [{fact}], say: ['{say}'], explain: [Why.]}}\n"


def rule_file(folder: Path, when: str = "weeks > 3", fact: str = "pregnancy", say: str = "So.") -> Path:
    path = folder / "sleep.yaml"
    path.write_text(GOOD + "".join(ROW.format(n=n, when=when, fact=fact, say=say) for n in range(7)))
    return path


def test_a_sound_rule_file_is_read(tmp_path: Path) -> None:
    assert load_topic(rule_file(tmp_path)).topic == "sleep"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"when": "wees > 3"}, "wees"),
        ({"when": "open(3)"}, "Call"),
        ({"fact": "age"}, "age"),
        ({"say": "At {weekz} weeks."}, "weekz"),
    ],
)
def test_a_wrong_rule_is_named_with_its_file(tmp_path: Path, wrong: dict[str, str], named: str) -> None:
    with pytest.raises(RuleError, match=rf"sleep\.yaml(.|\n)*{named}"):
        load_topic(rule_file(tmp_path, **wrong))
