"""Encode a message as a sparse vector of hashed n-grams.

    x_b = (1 + ln n_b) · idf_b, scaled to length one;   n_b counts the n-grams that fall into bucket b

English: one to three words, and three to five letters inside a word ("bledding" shares most of "bleeding"). Chinese:
one to four characters. The hash is CRC-32, the same on every machine. Numbers are one token: values are the rules'.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from models.safety.text.number_words import convert_number_words
from models.safety.triage.text_normalization import normalize_text

BUCKETS = 1 << 16
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"\w+")


def iterate_ngrams(text: str, language: str) -> Iterator[str]:
    """The n-grams of a message, with repetition."""
    plain = _NUMBER.sub("0", convert_number_words(normalize_text(text)))
    if language == "zh":
        joined = f"^{''.join(plain.split())}$"
        yield from (joined[i : i + n] for n in (1, 2, 3, 4) for i in range(len(joined) - n + 1))
        return
    words = _WORD.findall(plain)
    yield from (" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1))
    for word in (f"<{w}>" for w in words):
        yield from (f"#{word[i : i + n]}" for n in (3, 4, 5) for i in range(len(word) - n + 1))


def hash_ngrams(text: str, language: str, idf: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Hash a message into ascending buckets with L2-normalised values; no ``idf`` is equal weights."""
    counts = Counter(zlib.crc32(g.encode()) % BUCKETS for g in iterate_ngrams(text, language))
    buckets = np.array(sorted(counts), np.int64)
    values = np.array([1 + math.log(counts[b]) for b in buckets.tolist()], np.float64)
    if idf is not None:
        values = values * idf[buckets]
    length = float(np.sqrt(values @ values)) or 1.0
    return buckets, values / length
