"""The one flag that the classifier adds to the rules' flags.

1. It names no sign. Naming one was tried and was wrong more often than right on unseen messages; a patient must not
   read of thoughts they never had.
2. It calls an emergency: of round 19's messages that it alone found, 43 were one, 37 urgent and 11 routine.
3. Where a rule knows the sign and its context cannot count, the classifier is not asked. Where a rule matches words
   that are denied, over or another's, the classifier must exceed ``SURE_MARGIN``: it sees words, not their subject.
"""

from __future__ import annotations

import re

from models.encoder import Encoder
from models.safety.triage.classifier import load_classifier, read_metadata
from models.safety.triage.number_words import convert_number_words
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.text_normalization import normalize_text
from models.templates import CHINESE

LIKENESS_FLAG = Flag(
    "like_a_warning_sign",
    "emergency",
    "worded like messages of women with a warning sign, though no rule names one",
    "PMLM's classifier of messages (docs/triage.md)",
)
#: The margin above the threshold that outweighs a rule's reading. Of rounds 12 to 15 each scored without its writer's,
#: 1.0 found two emergencies in a hundred fewer than 0.5 and raised no fewer false alarms.
SURE_MARGIN = 0.5
#: Words that may accompany a reading: a message of readings alone is for the rules' limits, not for likeness.
_BESIDE_READINGS = re.compile(
    r"\b(?:my|the|is|it|was|this|that|a|bp|blood pressure|systolic|diastolic|temp|temperature|pulse|heart rate"
    r"|readings?"
    r"|over|and|at|today|morning|evening|week|degrees?|celsius|fahrenheit|ok|okay|normal|fine|good|lovely|great|perfect|right|alright|still"
    r"|too|low|high|just|confirming|log|bpm|c|f)\b"
    r"|体温|血压|高压|低压|收缩压|舒张压|心率|脉搏|今天|早上|晚上|刚才|刚量|这周|本周|正常|挺好|还行|可以|吗|吧|的|了|都|度|是|我|算|要紧"
)
_ENGLISH = re.compile(r"[a-zA-Z]{2,}")


def is_like_a_warning_sign(text: str, encoder: Encoder | None, least: float = 0.0) -> bool:
    """Whether a message is at least ``least`` above the threshold of a language it is written in.

    Without the encoder that the weights were fitted for, English is not judged: its rules still are.
    """
    return not _holds_readings_only(text) and any(margin >= least for margin in compute_margins(text, encoder))


def compute_margins(text: str, encoder: Encoder | None) -> list[float]:
    """How far the message exceeds the threshold, per language it is written in."""
    found = [load_classifier("zh").margin(text)] if CHINESE.search(text) else []
    readable = encoder is not None and getattr(encoder, "id", None) == read_metadata()["encoder"]
    if encoder is not None and readable and len(_ENGLISH.findall(text)) >= 2:
        found.append(load_classifier("en").margin(text, encoder.encode([text])[0]))
    return found


def _holds_readings_only(text: str) -> bool:
    plain = convert_number_words(normalize_text(text))
    return bool(re.search(r"\d", plain)) and not re.search(r"[^\W\d_]", _BESIDE_READINGS.sub(" ", plain))
