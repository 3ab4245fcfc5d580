"""Every form of a reference is taken out, in time linear in the text."""

from __future__ import annotations

import json
import time

import pytest

from bentos.openai.chat.anonymous_body import ANONYMOUS, anonymize

ID = "6f0c4a1e"


@pytest.mark.attack("access", "a reference in a message, escaped or in upper case", "taken out before it is sent")
@pytest.mark.parametrize(
    "written",
    [
        ID,
        ID.upper(),
        f"Patient/{ID}",
        f"Patient%2F{ID}",
        f"patient%252f{ID}",
        f"https://ehr.example/fhir/Patient/{ID}",
        f"urn:uuid:{ID}",
        f"urn%3Auuid%3A{ID}",
        f"line\n{ID}",
        json.dumps({"arguments": f"line\n{ID}\tend"}),
        json.dumps({"arguments": f"x\nPatient/{ID}"}),
    ],
)
@pytest.mark.parametrize("reference", [ID, f"Patient/{ID}", f"urn:uuid:{ID}", ID.upper(), f"Patient%2F{ID}"])
def test_a_reference_is_taken_out_in_every_form(written: str, reference: str) -> None:
    body = {"messages": [{"content": f"See {written}, please."}, {"tool": [{written: written}]}]}
    sent = json.dumps(anonymize(body, reference))
    assert ID not in sent.lower()
    assert sent.count(ANONYMOUS) == 3
    assert json.loads(sent)["messages"][0]["content"].startswith("See ")


def test_what_only_contains_the_id_and_what_is_no_text_stay() -> None:
    body = {"a": f"{ID}x 1{ID}", "n": 1, "b": None, "c": [True, 2.5]}
    assert anonymize(body, ID) == body


@pytest.mark.attack("event loop", "1 MB of text in which a reference is looked for", "read in one pass")
@pytest.mark.parametrize("repeated", ["我的孩子", "a", "a:/", "Patient/", "urn:uuid:", "%25", "Patient%25", "e\u0301"])
def test_a_megabyte_is_read_in_one_pass(repeated: str) -> None:
    text = (repeated * 1_000_000)[:1_000_000]
    started = time.process_time()
    anonymize({"messages": [{"content": text + f"Patient/{ID}"}]}, ID)
    assert time.process_time() - started < 2.0
