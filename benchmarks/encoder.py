"""Compare the encoder's scripted, packed forward pass with the same pass through public torch calls.

    python -m benchmarks.encoder [--repeats 40]

Variants of one forward pass: ``product`` (oneDNN's packed linear inside TorchScript), ``eager`` (packed, called from
Python), ``public`` (``Tensor.to_mkldnn`` at each call, eager), ``plain`` (``functional.linear``, eager), ``int8``
(weights and activations in 8 bits, dynamic per call, eager). One thread.
Speed: one short question, the same with a busy Python thread, and 48 sentences; variants alternate, ``value`` is the
product's median and ``baseline`` the variant's in ms, ``speedup`` = baseline / value with a bootstrap interval over
repeats; the target is 1.3. Company: texts of 70 whose vector changes by a bit with the batch size or the number of
threads; an encoder may have none, or a night would depend on how its texts were batched. ``int8_cosine`` is how near
an int8 vector is to the product's, each text alone, and ``int8_nearest`` how often both find the same nearest message
among those of the triage set. Writes
``benchmarks/results/encoder.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.serving.figures import RESAMPLES, row
from models import minilm_forward
from models.encoder import BATCH_SIZE, MiniLM
from pmlm.settings import PROJECT

RESULTS = Path(__file__).parent / "results" / "encoder.json"
TRIAGE = PROJECT / "examples" / "triage.jsonl"
TARGET = 1.3
QUESTION = "Is it normal to feel this tired at 30 weeks?"
SENTENCES = [
    f"Her weight rose by {i} kg in {i + 2} weeks, {'more ' * (i % 9)}than it usually varies." for i in range(70)
]

Tokens = list[list[int]]
Pass = Callable[[Tokens], Tensor]


def _public_linear(x: Tensor, weight: Tensor, bias: Tensor, plus: Tensor) -> Tensor:
    return functional.linear(x.to_mkldnn(), weight, bias.to_mkldnn()).to_dense() + plus


def _eager_linear(x: Tensor, weight: Tensor, bias: Tensor, plus: Tensor) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise.binary(x, plus, weight, bias, "add")


def _int8_linear(x: Tensor, weight: Any, bias: Tensor, plus: Tensor) -> Tensor:
    found: Tensor = torch.ops.quantized.linear_dynamic(x, weight)  # its bias is packed with the weight
    return found + plus


def _quantize(weight: Tensor, bias: Tensor) -> Any:
    """A layer's weights in 8 bits with a scale per output, packed with its bias."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch will drop these tensors for torchao's
        scales = (weight.abs().amax(1) / 127).double()
        packed = torch.quantize_per_channel(weight, scales, torch.zeros(len(scales), dtype=torch.long), 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(packed, bias)


def build_passes(encoder: MiniLM) -> dict[str, Pass]:
    """The product's pass and the variants, by name."""
    packed = minilm_forward.load_weights(encoder.folder)
    plain = minilm_forward.load_weights(encoder.folder, pack=False)
    dense = plain._replace(layers=[t.to_mkldnn() if t.dim() == 2 else t for t in plain.layers])
    eight = plain._replace(
        layers=[_quantize(t, plain.layers[i + 1]) if t.dim() == 2 else t for i, t in enumerate(plain.layers)]
    )
    source = minilm_forward._embed_rows

    def variant(linear: Callable[..., Tensor], weights: minilm_forward.EncoderWeights) -> Pass:
        # the very function that is scripted, with another linear layer
        embed = FunctionType(source.__code__, source.__globals__ | {"_linear": linear})
        return lambda texts: minilm_forward.embed_tokens(weights, texts, embed)

    return {
        "product": lambda texts: minilm_forward.embed_tokens(packed, texts),
        "eager": variant(_eager_linear, packed),
        "public": variant(_public_linear, dense),
        "plain": variant(minilm_forward._plain_linear, plain),
        "int8": variant(_int8_linear, eight),
    }


def in_batches(embed: Pass, texts: Tokens, size: int) -> np.ndarray:
    """Vectors [texts, width], ``size`` texts per pass."""
    return torch.cat([embed(texts[start : start + size]) for start in range(0, len(texts), size)]).numpy()


@contextmanager
def busy_thread() -> Iterator[None]:
    """A second Python thread that computes, as one that serves another request."""
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            sum(range(1000))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def measure_speed(name: str, passes: dict[str, Pass], texts: Tokens, repeats: int) -> list[dict[str, Any]]:
    """A row per variant: how many times faster the product is, all variants alternating."""
    times: dict[str, list[float]] = {variant: [] for variant in passes}
    for repeat in range(repeats + 1):
        for variant, embed in passes.items():
            start = time.perf_counter()
            in_batches(embed, texts, BATCH_SIZE)
            if repeat:  # the first warms up
                times[variant].append(1e3 * (time.perf_counter() - start))
    product = np.array(times.pop("product"))
    drawn = np.random.default_rng(0).integers(0, repeats, (RESAMPLES, repeats))
    rows = []
    for variant, each in times.items():
        other = np.array(each)
        speedup = float(np.median(other) / np.median(product))
        interval = np.percentile(np.median(other[drawn], axis=1) / np.median(product[drawn], axis=1), [2.5, 97.5])
        rows.append(
            row(
                f"{name}_{variant}", float(np.median(product)), "ms, one thread", repeats,
                baseline=float(np.median(other)), target=f"speedup >= {TARGET}", holds=speedup >= TARGET,
                speedup=round(speedup, 3), speedup_ci=[round(float(x), 3) for x in interval],
            )
        )  # fmt: skip
    return rows


def count_changed(embed: Pass, texts: Tokens) -> int:
    """Count texts whose vector changes with the batch size or the number of threads."""
    expected = in_batches(embed, texts, BATCH_SIZE)
    changed = np.zeros(len(texts), bool)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for size in (1, 3, BATCH_SIZE):
                changed |= (in_batches(embed, texts, size) != expected).any(axis=1)
    finally:
        torch.set_num_threads(before)
    return int(changed.sum())


def compare_int8(passes: dict[str, Pass], texts: Tokens) -> list[dict[str, Any]]:
    """How near int8 vectors are to the product's, and how often both have the same nearest neighbour."""
    ours, theirs = (in_batches(passes[name], texts, 1) for name in ("product", "int8"))
    cosines = (ours * theirs).sum(axis=1)
    nearest = []
    for vectors in (ours, theirs):
        likeness = vectors @ vectors.T
        np.fill_diagonal(likeness, -1.0)
        nearest.append(likeness.argmax(axis=1))
    same = float((nearest[0] == nearest[1]).mean())
    return [
        row("int8_cosine", float(np.median(cosines)), "cosine", len(texts), least=round(float(cosines.min()), 4)),
        row("int8_nearest", same, "share with the same nearest", len(texts)),
    ]


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    encoder = MiniLM()
    passes = build_passes(encoder)
    question, *sentences = (encoder._tokenizer.encode(text).ids for text in (QUESTION, *SENTENCES))
    rows = measure_speed("question", passes, [question], repeats)
    with busy_thread():
        rows += measure_speed("question_busy", passes, [question], repeats)
    rows += measure_speed("sentences", passes, sentences[:48], max(4, repeats // 5))
    own = count_changed(passes["product"], sentences)
    for variant in [v for v in passes if v != "product"]:
        other = count_changed(passes[variant], sentences)
        rows.append(
            row(
                f"changed_by_company_{variant}", own, "vectors of 70", len(sentences),
                baseline=other, target="product 0", holds=own == 0,
            )
        )  # fmt: skip
    messages = [json.loads(line)["text"] for line in TRIAGE.read_text().splitlines()]
    rows += compare_int8(passes, [encoder._tokenizer.encode(text).ids for text in messages])
    RESULTS.write_text("[\n" + ",\n".join(json.dumps(one) for one in rows) + "\n]\n")
    for one in rows:
        sys.stdout.write(
            f"{one['name']}: {one['value']} against {one['baseline']} {one['unit']}, {one.get('speedup_ci', '')}\n"
        )


if __name__ == "__main__":
    main()
