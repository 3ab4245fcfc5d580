"""Let patients ask and clinicians answer, by the sample clinic's own rules, on what the record says that day.

A reply is composed from the chart as of the start of its day (``pipelines.synthetic.records.chart``): the history and
the drops of the days before. So it speaks of facts that the prompts of that day can have; a conversation moved from
another day would not.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta

from benchmarks.fortnight.plan import FIRST_DAY, day_of
from benchmarks.fortnight.sample import Sample, Talk, patient_of
from pipelines.synthetic.portal.conversations import RATED_SHARE, STYLE_MATCH_SHARE, rate_reply
from pipelines.synthetic.portal.replies import BRIEF_WORDS, RuleReply, compose_reply, count_words
from pipelines.synthetic.portal.rules import Topic, load_topics
from pipelines.synthetic.records import fhir
from pipelines.synthetic.records.calendar import moment
from pipelines.synthetic.records.chart import Chart, ResourceVersion, build_version, read_chart
from pipelines.synthetic.records.fhir import Resource
from pipelines.synthetic.records.traits import Style

QUESTIONS = 16  # a night
#: Questions come in so many minutes from seven o'clock on, before the day's first visit.
ASKED_WITHIN = 120
OTHER_STYLE: dict[Style, Style] = {"brief": "detailed", "detailed": "brief"}


class Portal:
    """The conversations of one run: what each patient's record says so far, and what they have asked."""

    def __init__(self, sample: Sample, seed: int) -> None:
        self._seed = seed
        self._versions: dict[str, list[ResourceVersion]] = defaultdict(list)
        self._asked: dict[str, Counter[str]] = defaultdict(Counter)
        self._last = {talk.patient: talk for talk in sample.talks}
        self._liked = find_liked_styles(sample.talks)
        for one in sample.resources:
            self._add_version(one, 1)

    def learn(self, night: int, resources: Iterable[Resource]) -> None:
        """Add what a night's drop brings; days before the first night come with the history."""
        for one in resources:
            self._add_version(one, night)

    def talk(self, night: int, patients: Iterable[str]) -> list[Talk]:
        """Let some of the patients ask and be answered on the night's day; who and what depends on the seed alone."""
        rng = random.Random(f"fortnight/{self._seed}/talks/{night}")
        able = [patient for patient in sorted(patients) if patient in self._last]
        found: list[Talk] = []
        for patient in rng.sample(able, len(able)):
            if len(found) == QUESTIONS:
                break
            chart = read_chart(self._versions[patient], moment(day_of(night)))
            if made := self._ask(night, patient, chart, rng):
                found.append(made)
        return found

    def _add_version(self, resource: Resource, night: int) -> None:
        patient = resource["id"] if resource["resourceType"] == "Patient" else patient_of(resource)
        first = night <= 1
        self._versions[patient].append(build_version(resource, FIRST_DAY if first else day_of(night), first))

    def _ask(self, night: int, patient: str, chart: Chart, rng: random.Random) -> Talk | None:
        """Ask about the open topic that the patient has asked about least; None where none has a reply."""
        asked, liked = self._asked[patient], self._liked[patient]
        open_topics = [topic for topic in load_topics() if not topic.urgent and topic.asked(chart.facts)]
        for topic in sorted(open_topics, key=lambda one: (asked[one.topic], rng.random())):
            style = liked if rng.random() < STYLE_MATCH_SHARE else OTHER_STYLE[liked]
            if reply := compose_reply(topic, chart, style, rng):
                asked[topic.topic] += 1
                return self._write(night, patient, topic, reply, rng)
        return None

    def _write(self, night: int, patient: str, topic: Topic, reply: RuleReply, rng: random.Random) -> Talk:
        last, ids = self._last[patient], [self._seed, night, patient]
        question, answer = (fhir.derive_id("fortnight", *ids, what) for what in ("question", "reply"))
        asked = moment(day_of(night), 7) + timedelta(minutes=rng.randrange(ASKED_WITHIN))
        answered = asked + timedelta(minutes=rng.randrange(40, 300))
        text = rng.choice(topic.wordings[rng.choice(sorted(topic.wordings))])
        rating = None
        if rng.random() < RATED_SHARE:
            stars = rate_reply(reply, self._liked[patient], rng)
            ident = fhir.derive_id("fortnight", *ids, "rating")
            rating = fhir.build_rating(ident, patient, answer, answered + timedelta(hours=1), stars)
        return Talk(
            patient,
            fhir.build_message(question, patient, last.question["sender"], asked, text),
            fhir.build_message(answer, patient, last.reply["sender"], answered, reply.text, answers=question),
            rating,
        )


def find_liked_styles(talks: Iterable[Talk]) -> dict[str, Style]:
    """The style in which each patient was mostly answered: three of four replies are in the one that they like."""
    brief: dict[str, list[bool]] = defaultdict(list)
    for talk in talks:
        brief[talk.patient].append(count_words(talk.reply["payload"][0]["contentString"]) < BRIEF_WORDS)
    return {patient: "brief" if 2 * sum(found) > len(found) else "detailed" for patient, found in brief.items()}
