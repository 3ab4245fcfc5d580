"""What the classifier adds to the rules: the flag of a message that is like told signs, where a sign may count."""

from __future__ import annotations

import re
from collections.abc import Callable

from models.encoder import Encoder
from models.triage.classifier import Verdict, classifier, metadata
from models.triage.spelled import digits
from models.triage.table import CHINESE, Flag, Sign, signs
from models.triage.wording import normal

#: Words that may stand beside a reading: a message of readings alone is for the rules' limits, not for likeness.
_BESIDE_READINGS = re.compile(
    r"\b(?:my|the|is|it|was|this|that|a|bp|blood pressure|systolic|diastolic|temp|temperature|pulse|heart rate"
    r"|readings?"
    r"|over|and|at|today|morning|evening|week|degrees?|celsius|fahrenheit|ok|okay|normal|fine|good|right|alright|still"
    r"|too|low|high|just|confirming|log|bpm|c|f)\b"
    r"|体温|血压|高压|低压|收缩压|舒张压|心率|脉搏|今天|早上|晚上|刚才|刚量|这周|本周|正常|挺好|还行|可以|吗|吧|的|了|都|度|是|我|算|要紧"
)
_ENGLISH = re.compile(r"[a-zA-Z]{2,}")


def alike(text: str, applies: Callable[[Sign], bool], encoder: Encoder | None) -> Flag | None:
    """The flag of the likeliest sign that may count, or None where the message is below the threshold.

    Without the encoder that the weights were fitted for, English is not judged: its rules still are.
    """
    if _readings_only(text):
        return None
    for verdict in _verdicts(text, encoder):
        if verdict.margin < 0:
            continue
        fitting = {
            s.flag: verdict.signs[s.flag.sign] for s in signs("en") if s.flag.sign in verdict.signs and applies(s)
        }
        likeliest = max(verdict.signs, key=verdict.signs.__getitem__)
        if all(
            flag.sign != likeliest for flag in fitting
        ):  # what it is like cannot be hers: no movements felt at week 12
            continue
        grave = sum(share for flag, share in fitting.items() if flag.label == "emergency")
        label = "emergency" if 2 * grave >= sum(fitting.values()) else "urgent"
        return max((f for f in fitting if f.label == label), key=fitting.__getitem__)
    return None


def _readings_only(text: str) -> bool:
    plain = digits(normal(text))
    return bool(re.search(r"\d", plain)) and not re.search(r"[^\W\d_]", _BESIDE_READINGS.sub(" ", plain))


def _verdicts(text: str, encoder: Encoder | None) -> list[Verdict]:
    found = [classifier("zh").verdict(text)] if CHINESE.search(text) else []
    readable = encoder is not None and getattr(encoder, "id", None) == metadata()["encoder"]
    if encoder is not None and readable and len(_ENGLISH.findall(text)) >= 2:
        found.append(classifier("en").verdict(text, encoder.encode([text])[0]))
    return found
