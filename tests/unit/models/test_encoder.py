"""The real sentence encoder: unit vectors that do not depend on company."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from models.encoder import DIMENSIONS, MiniLM

TEXTS = ("Am I anaemic?", "Her haemoglobin was 9.8 g/dL.", "She has never smoked.", "a " * 900)


def test_vectors_are_of_unit_length(encoder: MiniLM) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (4, DIMENSIONS)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_has_one_vector_whatever_it_is_encoded_beside(encoder: MiniLM) -> None:
    fresh = MiniLM()
    together = encoder.encode(TEXTS)
    alone = np.stack([fresh.encode([t])[0] for t in reversed(TEXTS)])[::-1]
    assert np.array_equal(together, alone)


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_of_any_size_and_any_number_of_threads_give_the_same_bits(encoder: MiniLM, threads: int) -> None:
    texts = [
        f"Her weight rose by {i} kg in {i + 2} weeks, {'more ' * (i % 9)}than it usually varies." for i in range(70)
    ]
    expected = MiniLM().encode(texts)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for size in (1, 3, 40):
            fresh = MiniLM()
            found = [fresh.encode(texts[start : start + size]) for start in range(0, len(texts), size)]
            assert np.array_equal(np.concatenate(found), expected)
    finally:
        torch.set_num_threads(before)


def test_a_question_is_nearer_to_its_own_fact(encoder: MiniLM) -> None:
    question, near, far, _ = encoder.encode(TEXTS)
    assert question @ near > question @ far


def test_no_texts_give_no_vectors(encoder: MiniLM) -> None:
    assert encoder.encode([]).shape == (0, DIMENSIONS)


def test_only_the_last_texts_are_remembered() -> None:
    small = MiniLM(cache_size=2)
    first = small.encode(TEXTS[:1]).copy()
    small.encode(TEXTS[1:3])
    assert list(small._vectors) == list(TEXTS[1:3])
    assert np.array_equal(small.encode(TEXTS[:1]), first)


def test_the_pass_computes_what_transformers_computes(encoder: MiniLM) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(encoder.folder), AutoModel.from_pretrained(encoder.folder).eval()
    for text in (*TEXTS, "", "头痛 and a headache 😀"):
        inputs = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.inference_mode():
            mean = model(**inputs).last_hidden_state.mean(1)
        theirs = torch.nn.functional.normalize(mean, dim=1)[0].numpy()
        assert np.abs(encoder.encode([text])[0] - theirs).max() < 1e-5


def test_memory_does_not_grow_with_the_number_of_lengths_met() -> None:
    """oneDNN caches per number of rows: 200 numbers cost some 150 MiB, 16 some 40."""
    script = (
        "import psutil, torch\n"
        "from models.encoder import MiniLM\n"
        "torch.set_num_threads(1)\n"
        "encoder, worker = MiniLM(cache_size=0), psutil.Process()\n"
        "encoder.encode(['one', 'two words ' * 100])\n"
        "before = worker.memory_info().rss\n"
        "for n in range(4, 204): encoder.encode(['a ' * n])\n"
        "print((worker.memory_info().rss - before) / 2**20)\n"
    )
    grown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(grown.stdout) < 100
