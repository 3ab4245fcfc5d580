"""Any LLM is text in and out: the embedded one, and one over loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from models.llm import DISCLAIMER, EmbeddedLLM, LLMError, OpenAICompatible, make_token_counter, unpack_embedded_llm

SYSTEM, USER = "You answer a patient.", "Why am I tired?"


class _Chat(BaseHTTPRequestHandler):
    """Answers a chat completion as its server says; keeps what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(json.loads(body))  # type: ignore[attr-defined]
        status, content = self.server.reply  # type: ignore[attr-defined]
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": []}
        if content is not None:
            message = {"role": "assistant", "content": content}
            answer["choices"] = [{"index": 0, "finish_reason": "stop", "message": message}]
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Chat)
    server.asked, server.reply = [], (200, "Rest and drink.")  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _client(server: HTTPServer) -> OpenAICompatible:
    return OpenAICompatible(f"http://127.0.0.1:{server.server_port}/v1", "m", timeout=5)


def test_a_server_gets_the_prompt_and_the_question_and_nothing_else(server: HTTPServer) -> None:
    assert _client(server).complete(SYSTEM, USER) == "Rest and drink."
    (asked,) = server.asked  # type: ignore[attr-defined]
    assert asked["messages"] == [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}]


@pytest.mark.parametrize("reply", [(500, "x"), (429, "x"), (200, ""), (200, None)])
def test_a_failing_server_is_asked_once_and_told_without_patient_text(
    server: HTTPServer, reply: tuple[int, str | None]
) -> None:
    server.reply = reply  # type: ignore[attr-defined]
    with pytest.raises(LLMError) as caught:
        _client(server).complete(SYSTEM, USER)
    assert len(server.asked) == 1  # type: ignore[attr-defined]
    assert USER not in str(caught.value)
    assert SYSTEM not in str(caught.value)


def test_an_absent_server_is_an_error_not_an_answer() -> None:
    with pytest.raises(LLMError, match="APIConnectionError"):
        OpenAICompatible("http://127.0.0.1:9/v1", "m", timeout=1).complete(SYSTEM, USER)


def test_the_embedded_model_answers_the_same_twice() -> None:
    llm = EmbeddedLLM(threads=1, max_tokens=12)
    assert llm.complete(SYSTEM, USER) == llm.complete(SYSTEM, USER) != ""


def test_the_embedded_model_is_no_medical_answerer_and_says_so() -> None:
    assert "not a medical answerer" in DISCLAIMER["en"]
    assert set(DISCLAIMER) == {"en", "zh"}


def test_tokens_are_counted_without_chat_markers(llm_folder: Path) -> None:
    count = make_token_counter(llm_folder)
    assert count("") == 0
    assert count("She is 31 years old.") == 8
    assert count("<|im_end|>") > 1


def test_unpacking_again_changes_nothing(llm_folder: Path) -> None:
    before = (llm_folder / "model.safetensors").stat().st_mtime_ns
    assert (unpack_embedded_llm(llm_folder) / "model.safetensors").stat().st_mtime_ns == before
