"""The one flag that the classifier adds to the rules' flags.

1. It names no sign. Naming one was tried and was wrong more often than right on unseen messages; a patient must not
   read of thoughts they never had.
2. It calls an emergency: of round 19's messages that it alone found, 43 were one, 37 urgent and 11 routine.
3. Where a rule knows the sign and its context cannot count, the classifier is not asked. Where a rule matches words
   that are denied, over or another's, the classifier must exceed ``SURE_MARGIN``: it sees words, not their subject.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from models.encoder import Encoder, MiniLM
from models.safety.text.number_words import convert_number_words
from models.safety.triage.classifier import load_classifier, read_metadata
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
#: A sign buried in a long message is diluted: its sentences are judged too, from this margin on. Of rounds 19 and 20 it
#: found no more emergencies and raised 4 more false alarms in 310 routine messages; it is for messages as in round 21.
LONG, SENTENCE_MARGIN = 4, 0.6
#: A sentence that says itself that it is over is not judged alone: the classifier sees words, not their time.
_OVER = re.compile(r"\b(?:years?|months) ago\b|\b(?:had|has|have|was|were|is) (?:all )?gone\b|[年月]前")
_SENTENCE_END = re.compile(r"(?<=[.!?;\n。！？；…])\s*")
#: Words that may accompany a reading: a message of readings alone is for the rules' limits, not for likeness.
_BESIDE_READINGS = re.compile(
    r"\b(?:my|the|is|it|was|this|that|a|bp|blood pressure|systolic|diastolic|temp|temperature|pulse|heart rate"
    r"|readings?|thermometer|cuff|monitor|machine|shows?|reads|says"
    r"|over|and|at|today|morning|evening|week|degrees?|celsius|fahrenheit|ok|okay|normal|fine|good|lovely|great|perfect|right|alright|still"
    r"|too|low|high|just|confirming|log|bpm|c|f)\b"
    r"|体温|血压|高压|低压|收缩压|舒张压|心率|脉搏|今天|早上|晚上|刚才|刚量|这周|本周|正常|挺好|还行|可以|吗|吧|的|了|都|度|是|我|算|要紧"
)
_ENGLISH = re.compile(r"[a-zA-Z]{2,}")


def compute_margins(texts: Sequence[str], encoder: Encoder | None) -> list[float]:
    """How far each text exceeds the threshold of a language it is written in; all embeddings in one pass.

    Minus infinity for a text that is not judged: readings alone, and English without the encoder that the weights were
    fitted for (the rules still read it).
    """
    judged = [not _holds_readings_only(text) for text in texts]
    margins = [
        load_classifier("zh").margin(text) if judge and CHINESE.search(text) else -math.inf
        for text, judge in zip(texts, judged, strict=True)
    ]
    if encoder is None or getattr(encoder, "id", None) != read_metadata()["encoder"]:
        return margins
    english = [n for n, text in enumerate(texts) if judged[n] and len(_ENGLISH.findall(text)) >= 2]
    vectors = encoder.encode([texts[n] for n in english]) if english else ()
    for n, vector in zip(english, vectors, strict=True):
        margins[n] = max(margins[n], load_classifier("en").margin(texts[n], vector))
    return margins


def forget_texts(encoder: Encoder | None, texts: Iterable[str]) -> None:
    """Remove what was encoded of a patient's message from an encoder that remembers texts."""
    if isinstance(encoder, MiniLM):
        for text in texts:
            encoder.forget(text)


def split_long_message(text: str) -> list[str]:
    """The sentences of a message of ``LONG`` or more that are judged one by one, else none."""
    sentences = [s for s in map(str.strip, _SENTENCE_END.split(text)) if len(s) > 1]
    return [s for s in sentences if not _OVER.search(s.lower())] if len(sentences) >= LONG else []


def _holds_readings_only(text: str) -> bool:
    plain = convert_number_words(normalize_text(text))
    return bool(re.search(r"\d", plain)) and not re.search(r"[^\W\d_]", _BESIDE_READINGS.sub(" ", plain))
