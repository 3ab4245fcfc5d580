"""Names of models as the outside sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentos.llm.upstreams import Upstream, choose_own_model, order_by_preference, read_upstreams
from pmlm.settings import Settings


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


def test_where_nothing_is_named_nobody_is_asked() -> None:
    (only,) = read_upstreams(Settings(_env_file=None))
    assert (only.name, only.restates, only.embedded) == ("embedded-answer", True, True)


def test_the_small_model_answers_only_where_it_is_named() -> None:
    named = Settings(_env_file=None, llm_model="smollm2-135m-instruct")
    assert read_upstreams(named) == ()
    assert choose_own_model(named).id == "smollm2-135m-instruct-q4_1"


def test_a_file_of_the_clinics_own_runs_in_this_process_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "clinic-7b.gguf").touch()
    own = Settings(_env_file=None, llm_model=str(tmp_path / "clinic-7b.gguf"), llm_context_tokens=8192)
    model = choose_own_model(own)
    assert (model.id, model.path, model.context) == ("clinic-7b.gguf", tmp_path / "clinic-7b.gguf", 8192)
