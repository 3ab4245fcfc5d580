"""Names of models as the outside sees them."""

from __future__ import annotations

import pytest

from bentos.llm.upstreams import Upstream, order_by_preference


@pytest.mark.attack("access", "a model that is named by a path on its server", "the file's name alone is shown")
@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("/models/clinic.gguf", "clinic.gguf"),
        ("./models/clinic/", "clinic"),
        ("~/clinic.gguf", "clinic.gguf"),
        (r"C:\models\clinic.gguf", "clinic.gguf"),
        ("file:///models/clinic.gguf", "clinic.gguf"),
        ("models/clinic/v1.gguf", "v1.gguf"),
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("name-of-the-model", "name-of-the-model"),
    ],
)
def test_no_folder_of_a_server_is_shown(model: str, name: str) -> None:
    assert Upstream("http://127.0.0.1/v1", model).name == name


def test_a_model_is_preferred_by_either_name() -> None:
    first, second = Upstream("http://a/v1", "one"), Upstream("http://b/v1", "/models/two.gguf")
    assert order_by_preference((first, second), "two.gguf") == (second, first)
    assert order_by_preference((first, second), "/models/two.gguf") == (second, first)
    assert order_by_preference((first, second), "other") == (first, second)
