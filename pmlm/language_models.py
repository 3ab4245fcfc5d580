"""Name language models in settings: addresses of servers, and models of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

#: Nothing generates: an answer restates the prompt's facts to the patient.
EMBEDDED_ANSWER = "embedded-answer"
#: Names under which the 135M model, which otherwise only scores, answers patients in this process.
SMALL_MODEL = ("smollm2-135m-instruct", "smollm2-135m-instruct-q4_1")


def _check_url(value: str) -> str:
    """An address of a server: a setting that is none fails when it is read, not with the first request."""
    try:
        url = urlsplit(value)
        known = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 0) >= 0
    except ValueError:
        known = False
    if not known or any(c.isspace() for c in value):
        raise ValueError("must be an address such as https://host/path")
    return value


Url = Annotated[str, AfterValidator(_check_url)]


class LanguageModel(BaseModel, extra="forbid"):
    """An OpenAI-compatible language model, called when those before it fail."""

    base_url: Url
    model: str
    api_key: str | None = None


class TokenPrice(BaseModel, extra="forbid"):
    """What a million tokens of a language model cost; input from a cache costs like any other unless it is named."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached_input: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def of(self, kind: str) -> float:
        """The price of ``input``, ``cached_input`` or ``output``."""
        if kind == "output":
            return self.output
        return self.input if kind == "input" or self.cached_input is None else self.cached_input


def check_own_model(name: str) -> str:
    """The name of a model of this process, a file's path made absolute; ValueError for any other name."""
    if name in (EMBEDDED_ANSWER, *SMALL_MODEL):
        return name
    if not name.lower().endswith(".gguf"):
        raise ValueError(
            f"without PMLM_LLM_BASE_URL it is {EMBEDDED_ANSWER}, {SMALL_MODEL[0]} or the path of a .gguf file"
        )
    if not Path(name).is_file():
        raise ValueError("there is no such .gguf file")
    return str(Path(name).absolute())
