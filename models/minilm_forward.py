"""MiniLM's forward pass over texts of any lengths, none padded, in one TorchScript call.

    x_0 = LN(word + place),   y = LN(x + O·attention(x)),   x' = LN(y + U·gelu(I·y)),   e = mean of x_6 / ‖mean of x_6‖

The layers of BERT (Devlin et al. 2019) as ``transformers`` computes them, to 1e-6. The rows of all texts pass through
each matrix together; attention stays within one text. ``benchmarks/results/encoder.json`` (Run: ``python -m
benchmarks.encoder``) says why two calls are private or deprecated:

1. ``torch.ops.mkldnn``: oneDNN's packed linear gives a text the same bits whatever it is batched with. Through
   ``functional.linear``, no faster, all of 70 vectors change with their batch, and a night's weights would with them
   (rows ``changed_by_company_*``); the public ``Tensor.to_mkldnn`` packs at each call, 1.3 times slower.
2. ``torch.jit.script``: a pass takes Python's lock once, not at each operation: 1.4 times faster while another thread
   serves a request (``question_busy_eager``).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional

#: Tensors per layer, in the order in which ``_embed_rows`` reads them.
_PER_LAYER = 12

#: Rows of a pass are filled up to a multiple of this: oneDNN caches what it prepares for each number of rows, some
#: 200 KiB, and a process that meets hundreds of numbers grows by as much.
_ROW_MULTIPLE = 16
_FILL_TOKEN = 0  # the token of rows that nobody reads


def _plain_linear(x: Tensor, weight: Tensor, bias: Tensor, plus: Tensor) -> Tensor:
    return functional.linear(x, weight, bias) + plus


def _packed_linear(x: Tensor, weight: Tensor, bias: Tensor, plus: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, plus, weight, bias, "add")


PACKED = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_linear = _packed_linear if PACKED else _plain_linear


def _embed_rows(
    ids: Tensor, lengths: list[int], heads: int, eps: float, outer: list[Tensor], layers: list[Tensor]
) -> Tensor:
    """Unit vectors [texts, width] of the texts whose token ids are concatenated in ``ids``."""
    places = torch.cat([outer[1][:length] for length in lengths])
    x = functional.embedding(ids, outer[0]) + places
    width = x.size(1)
    x = functional.layer_norm(x, [width], outer[2], outer[3], eps)
    nothing = torch.zeros([x.size(0), layers[1].size(0)])
    nothing_more = torch.zeros([x.size(0), layers[7].size(0)])
    for i in range(0, len(layers), 12):
        all_three = _linear(x, layers[i], layers[i + 1], nothing)
        attended: list[Tensor] = []
        start = 0
        for length in lengths:
            three = all_three[start : start + length].view(length, 3, heads, width // heads).permute(1, 2, 0, 3)
            attended.append(
                functional.scaled_dot_product_attention(three[0][None], three[1][None], three[2][None])[0]
                .transpose(0, 1)
                .reshape(length, width)
            )
            start += length
        x = _linear(torch.cat(attended), layers[i + 2], layers[i + 3], x)
        x = functional.layer_norm(x, [width], layers[i + 4], layers[i + 5], eps)
        inner = functional.gelu(_linear(x, layers[i + 6], layers[i + 7], nothing_more))
        x = functional.layer_norm(
            _linear(inner, layers[i + 8], layers[i + 9], x), [width], layers[i + 10], layers[i + 11], eps
        )
    start = 0
    means: list[Tensor] = []
    for length in lengths:
        means.append(x[start : start + length].mean(0))
        start += length
    return functional.normalize(torch.stack(means), dim=1)


with warnings.catch_warnings():
    # torch's replacement (torch.export) takes no list of lengths; the lock names the torch that has this
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
    _scripted_embed_rows = torch.jit.script(_embed_rows)


class EncoderWeights(NamedTuple):
    """A model's frozen tensors as ``embed_tokens`` reads them."""

    heads: int
    eps: float
    outer: list[Tensor]
    layers: list[Tensor]


def load_weights(folder: Path, pack: bool = PACKED) -> EncoderWeights:
    """Load the weights of the BERT model in ``folder``.

    They are copied one by one, but for the words' vectors, half of them: those stay in the mapped file, of which a
    process reads the words that it meets.
    """
    config = json.loads((folder / "config.json").read_text())
    with safe_open(folder / "model.safetensors", "pt") as mapped:
        words = mapped.get_tensor("embeddings.word_embeddings.weight")
    with safe_open(folder / "model.safetensors", "pt") as file:
        read = _reader(file)
        kinds = read("embeddings.token_type_embeddings.weight")[0]  # one text per row: always of the first kind
        outer = [
            words,
            read("embeddings.position_embeddings.weight") + kinds,
            read("embeddings.LayerNorm.weight"),
            read("embeddings.LayerNorm.bias"),
        ]
        layers = [
            tensor
            for number in range(config["num_hidden_layers"])
            for tensor in _read_layer(read, f"encoder.layer.{number}.", pack)
        ]
    return EncoderWeights(config["num_attention_heads"], config["layer_norm_eps"], outer, layers)


def _reader(file: Any) -> Callable[[str], Tensor]:
    """Read a tensor of the open file by name, as a copy."""
    return lambda name: file.get_tensor(name).to(torch.float32, copy=True)


def _read_layer(read: Callable[[str], Tensor], prefix: str, pack: bool) -> list[Tensor]:
    names = [f"{prefix}attention.self.{one}" for one in ("query", "key", "value")]
    found = [
        torch.cat([read(f"{name}.weight") for name in names]),
        torch.cat([read(f"{name}.bias") for name in names]),
    ]
    for dense, norm in (
        ("attention.output.dense", "attention.output.LayerNorm"),
        ("intermediate.dense", ""),
        ("output.dense", "output.LayerNorm"),
    ):
        found += [read(f"{prefix}{dense}.weight"), read(f"{prefix}{dense}.bias")]
        found += [read(f"{prefix}{norm}.weight"), read(f"{prefix}{norm}.bias")] if norm else []
    assert len(found) == _PER_LAYER
    return [torch.ops.mkldnn._reorder_linear_weight(t, 512) if pack and t.dim() == 2 else t for t in found]


@torch.inference_mode()
def embed_tokens(
    weights: EncoderWeights, texts: list[list[int]], embed: Callable[..., Tensor] = _scripted_embed_rows
) -> Tensor:
    """Unit vectors [texts, width] of texts given as token ids, none of them empty."""
    missing = -sum(map(len, texts)) % _ROW_MULTIPLE
    filled = [*texts, [_FILL_TOKEN] * missing] if missing else texts
    ids = torch.tensor([token for text in filled for token in text])
    return embed(ids, [len(text) for text in filled], *weights)[: len(texts)]
