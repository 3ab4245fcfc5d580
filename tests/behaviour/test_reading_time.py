"""Reading takes time in proportion to a text's length, whatever is repeated in it."""

from __future__ import annotations

import time

import pytest

from models.safety.answer_check import check_answer
from models.safety.triage.red_flag_table import Flag
from models.safety.triage.rules import TriageContext, find_red_flags
from pmlm.api_types import MAX_QUESTION

#: What the rules search for, so that repeating it gives them the most to do.
REPEATED = (
    "a",
    "a ",
    "120/80 ",
    "no chest pain ",
    "my friend has chest pain ",
    "bleeding or ",
    "bp 150 ",
    "fever 39 ",
    "temperature ",
    "systolic a ",
    "can not breathe ",
    "the baby has not moved ",
    "12 weeks ",
    "is it ",
    "没有胸痛",
    "胸痛，",
    "血压 1",
    "e\u0301\u0302",
    "a\u200b",
    "([{",
    '"',
    "😀",
    "a-",
    ".",
    "\n",
)
#: Texts this long took minutes where one of the rules was not linear; a busy machine needs a part of this.
PROMPT_S = 5.0
FLAGS = (Flag("any", "emergency", "why"),)


@pytest.mark.attack("event loop", "a question of 4,000 characters that repeats what triage looks for", "read at once")
@pytest.mark.parametrize("repeated", REPEATED)
def test_a_question_is_read_at_once(repeated: str) -> None:
    find_red_flags("hello")  # compiles the rules
    text = (repeated * MAX_QUESTION)[:MAX_QUESTION]
    started = time.process_time()
    find_red_flags(text)
    assert time.process_time() - started < PROMPT_S


@pytest.mark.attack("event loop", "an answer of 64 kB that repeats what its check looks for", "checked at once")
@pytest.mark.parametrize("repeated", REPEATED)
def test_an_answer_is_checked_at_once(repeated: str) -> None:
    check_answer("hello", ["penicillin V"], FLAGS)
    text = (repeated * 65536)[:65536]
    started = time.process_time()
    check_answer(text, ["penicillin V", "aspirin"], FLAGS, "en", TriageContext(pregnant=True))
    assert time.process_time() - started < PROMPT_S
