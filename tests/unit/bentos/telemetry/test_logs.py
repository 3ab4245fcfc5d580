"""A line of the log is one JSON object without a patient, whoever wrote it and whatever was put into it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.telemetry import logs
from pmlm.errors import ServingError

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """What has been logged since, by us and by a library whose handler the server set up."""
    stream = io.StringIO()
    library = logging.getLogger("bentoml")
    before, level = library.handlers[:], library.level
    library.handlers[:] = [logging.StreamHandler(stream)]
    library.setLevel(logging.INFO)
    own = logging.getLogger(logs.LOGGER)
    own_before, own.handlers = own.handlers, []  # another test's endpoint may still write to its own file
    logs.configure()

    def read() -> list[dict[str, Any]]:
        text = stream.getvalue() + capsys.readouterr().err
        return [json.loads(line) for line in text.splitlines()]

    yield read
    own.handlers = own_before
    library.handlers[:] = before
    library.setLevel(level)


def test_our_own_line_keeps_what_we_say(lines: Lines) -> None:
    logs.logger().info("request", route="/explain/{answer_id}", status=200, seconds=0.01)
    (line,) = lines()
    assert (line["event"], line["route"], line["status"], line["level"]) == (
        "request",
        "/explain/{answer_id}",
        200,
        "info",
    )
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("key", sorted(logs.REDACTED_KEYS))
def test_what_nobody_should_log_is_withheld(lines: Lines, key: str) -> None:
    logs.logger().info("oops", **{key: "Adelheid"}, more={key: ["Adelheid"]})
    assert "Adelheid" not in json.dumps(lines())


def test_a_librarys_values_are_left_out_and_its_numbers_kept(lines: Lines) -> None:
    library = logging.getLogger("bentoml.serve")
    library.info("Task(%s) %s failed", "answer", "Adelheid")
    library.info("took %d of %.1f", 3, 4.5)
    assert [line["event"] for line in lines()] == ["Task(%s) %s failed", "took 3 of 4.5"]


@pytest.mark.parametrize(
    "text",
    [
        "no Patient/6f0c4a1e here", "Patient%2F6f0c4a1e", "urn:uuid:6f0c4a1e-1111-2222-3333-444455556666",
        "subject:4611686018427387905", "6f0c4a1e-1111-2222-3333-444455556666", "ada@example.org",
        "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "Bearer 6f0c4a1eabc", "born 1994-03-02", "mrn 44710098",
        "Patient%252F6f0c4a1e", "patient/6f0c4a1e", "PATIENT/6F0C4A1E", "patient%25252f6F0C4A1E",
        "URN:UUID:6F0C4A1E-1111-2222-3333-444455556666", "urn%3Auuid%3A6f0c4a1e", "Urn%253aUuid%253aada-6f0c4a1e",
        "SUBJECT:4611686018427387905", "subject%253A4611686018427387905", "GET /x?patient=6f0c4a1e&y=1",
        "patient%3D6f0c4a1e",
    ],
)  # fmt: skip
@pytest.mark.attack("access", "a patient's id in a log line, escaped once or twice, or in capitals", "masked")
def test_what_looks_like_an_identifier_is_masked(lines: Lines, text: str) -> None:
    logging.getLogger("bentoml").warning(text)
    logs.logger().warning("seen", note=text, notes=[text])
    written = json.dumps(lines())
    assert "[masked]" in written
    for secret in ("6f0c4a1e", "4611686018427387905", "ada@", "eyJ", "1994", "44710098"):
        assert secret.lower() not in written.lower()


def fail(kind: type[Exception], message: str) -> Exception:
    try:
        raise kind(message)
    except Exception as error:
        return error


def test_an_exception_is_told_by_its_type_and_place_and_not_by_its_words(lines: Lines) -> None:
    logging.getLogger("bentoml").error("Exception on %s", "/x", exc_info=fail(KeyError, "Adelheid"))
    logs.logger().error("failed", exc_info=fail(ServingError, "no release is loaded"))
    theirs, ours = lines()
    assert theirs["exception"]["type"] == "KeyError"
    assert theirs["exception"]["at"][0].endswith(" fail")
    assert ours["error"] == "no release is loaded"
    assert "Adelheid" not in json.dumps([theirs, ours])


@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.none() | st.text() | st.floats() | st.binary(), st.lists), max_size=4
    )
)
def test_any_value_can_be_redacted_and_stays_short(values: dict[str, Any]) -> None:
    redacted = {k: v for k, v in logs.redact(None, "info", dict(values)).items() if k not in logs.UNMASKED_KEYS}
    assert all(len(v) <= logs.LONGEST + 1 for v in redacted.values() if isinstance(v, str))
