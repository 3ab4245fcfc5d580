"""A local HTTP server of log-probabilities of given text, by SmolLM2, in both formats."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM


@dataclass
class GivenText:
    """The model and the server's behaviour: errors to return, text offsets or none."""

    folder: Path
    requests: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)  # answered first, one per request
    dies_after: int | None = None
    offsets: bool = True
    bos: bool = False
    quick: bool = False  # every token is worth −1, so that no forward pass is waited for
    base_url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.model: Any = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32).eval()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        with self.lock:
            self.requests.append(body)
            if self.dies_after is not None and len(self.requests) > self.dies_after:
                return 500, {"error": {"message": "out of memory"}}
            if self.refusals:
                status, reason = self.refusals.pop(0)
                return status, {"error": {"message": reason}}
            return 200, self._chat(body) if path.endswith("chat/completions") else self._completion(body)

    def _scored(self, text: str) -> tuple[list[str], list[float | None], list[int]]:
        """Return shown tokens, log-probabilities and start offsets."""
        encoded = self.tokenizer.encode(text, add_special_tokens=False)
        ids = ([self.tokenizer.token_to_id("<|endoftext|>")] if self.bos else []) + encoded.ids
        values: list[float | None] = [None, *([-1.0] * (len(ids) - 1))]
        if not self.quick:
            with torch.inference_mode():
                log_p = self.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            values[1:] = [float(log_p[t - 1, ids[t]]) for t in range(1, len(ids))]
        shift = len("<|endoftext|>") if self.bos else 0
        starts = ([0] if self.bos else []) + [start + shift for start, _ in encoded.offsets]
        return [self.tokenizer.decode([i], skip_special_tokens=False) for i in ids], values, starts

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["echo"]
        assert body["logprobs"] == 1
        tokens, log_ps, starts = self._scored(body["prompt"])
        end = len(body["prompt"]) + (starts[1] if self.bos else 0)
        logprobs = {"tokens": [*tokens, " and"], "token_logprobs": [*log_ps, -1.0]}  # one token is always generated
        if self.offsets:
            logprobs["text_offset"] = [*starts, end]
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
        return {"choices": [{"text": body["prompt"] + " and", "logprobs": logprobs}], "usage": usage}

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["continue_final_message"]
        assert not body["add_generation_prompt"]
        ended = [f"<|im_start|>{m['role']}\n{m['content']}" for m in body["messages"]]
        tokens, log_ps, _ = self._scored("<|im_end|>\n".join(ended))
        places: list[Any] = [
            None if p is None else {str(i): {"logprob": p, "rank": 1, "decoded_token": token}}
            for i, (token, p) in enumerate(zip(tokens, log_ps, strict=True))
        ]
        return {"choices": [{"message": {"role": "assistant", "content": " and"}}], "prompt_logprobs": places}
