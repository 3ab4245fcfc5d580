"""Settings travel to another process whole, and what is misconfigured fails at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from bentos.auth.keys import public_keys
from pmlm.errors import SettingsError
from pmlm.language_models import LanguageModel, TokenPrice
from pmlm.settings import Settings, format_settings, load_settings

#: For each type of a setting, a value that no setting has by default.
OTHERS: dict[str, Any] = {
    "llm_fallbacks": [
        LanguageModel(base_url="http://127.0.0.1:1/v1", model='m"x', api_key="k,e:y"),
        LanguageModel(base_url="http://b/v1", model="二"),
    ],
    "cds_issuers": {
        "https://ehr.example/a": "https://ehr.example/jwks?x=1,2",
        "https://b.example": "https://b.example/keys",
    },
}


def other_value(name: str) -> Any:
    """A valid value of a setting that is not its default."""
    field = Settings.model_fields[name]
    if name in OTHERS:
        return OTHERS[name]
    choices = getattr(field.annotation, "__args__", ())
    if field.annotation is Path or Path in choices:
        return Path("/data/some where") / name
    if name in VALUES:
        return VALUES[name]
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, (int, float)) or int in choices or float in choices:
        return type(field.default or 1)((field.default or 4000) + 7)
    if name.endswith(("_url", "_base_url")):
        return f"https://{name.replace('_', '-')}.example:8443/a?b=c"
    literal = [choice for choice in choices if isinstance(choice, str) and choice != field.default]
    return literal[0] if literal else VALUES.get(name, f'{name} "of" this, clinic')


VALUES: dict[str, Any] = {
    "canary_share": 0.25,
    "crisis_country": "GB",
    "llm_model": "smollm2-135m-instruct",
    "llm_prices": {"m": TokenPrice(input=1.5, output=6)},
    "triage_llm": LanguageModel(base_url="http://c/v1", model="reader"),
    "trusted_proxies": "10.0.0.0/8 127.0.0.1",
    "rate_limit": "7/second",
    "online_store": "redis://127.0.0.1:6379/3",
    "airflow_database": "postgresql://airflow:p%40ss@127.0.0.1:5433/airflow",
    "llm_base_url": "http://127.0.0.1:9/v1",
}
NAMES = [name for name, field in Settings.model_fields.items() if field.default is not PydanticUndefined]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_travels_to_another_process(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = Settings(_env_file=None, home=tmp_path, **({name: other_value(name)} if name != "home" else {}))
    assert getattr(own, name) != Settings.model_fields[name].default
    for variable, value in format_settings(own).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    assert load_settings() == own


def test_a_model_without_a_server_is_one_of_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "clinic.gguf").touch()
    monkeypatch.chdir(tmp_path)
    assert load_settings(llm_model="clinic.gguf").llm_model == str(tmp_path / "clinic.gguf")
    assert load_settings(llm_model="gpt", llm_base_url="http://127.0.0.1:9/v1").llm_name == "gpt"
    assert load_settings(llm_base_url="http://127.0.0.1:9/v1").llm_name == "default"
    for unknown, why in (("gpt", "without PMLM_LLM_BASE_URL"), ("other.gguf", "no such .gguf file")):
        with pytest.raises(SettingsError, match=f"^PMLM_LLM_MODEL: .*{why}"):
            load_settings(llm_model=unknown)


def test_a_relative_path_is_the_same_file_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    own = Settings(_env_file=None, home=Path("state"))
    assert format_settings(own)["PMLM_HOME"] == str(tmp_path / "state")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PMLM_LLM_BASE_URL", "127.0.0.1:8000/v1"),
        ("PMLM_LLM_BASE_URL", "http://"),
        ("PMLM_LLM_BASE_URL", "http://host:port/v1"),
        ("PMLM_LLM_FALLBACKS", "[{'base_url': 1}]"),
        ("PMLM_LLM_PRICES", "{}x"),
        ("PMLM_LLM_PRICES", '{"m": {"input": -1, "output": 1}}'),
        ("PMLM_LLM_PRICES", '{"m": {"input": 1}}'),
        ("PMLM_LLM_SYSTEM_MESSAGE", "twice"),
        ("PMLM_LLM_FALLBACKS", '[{"base_url": "second", "model": "m"}]'),
        ("PMLM_CDS_ISSUERS", "https://ehr.example=https://ehr.example/jwks"),
        ("PMLM_CDS_ISSUERS", '{"https://ehr.example": "jwks"}'),
        ("PMLM_LLM_TIMEOUT_S", "soon"),
        ("PMLM_LLM_TIMEOUT_S", "0"),
        ("PMLM_PORT", "70000"),
        ("PMLM_QUEUE", "0"),
        ("PMLM_CRISIS_COUNTRY", "Atlantis"),
        ("PMLM_ENGINE", "excel"),
        ("PMLM_AIRFLOW_DATABASE", "mysql://u:secret@h/x"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}") as wrong:
        load_settings()
    assert "\n" not in str(wrong.value)
    assert "secret" not in str(wrong.value)


def test_a_folder_of_keys_that_is_not_there_is_named(tmp_path: Path) -> None:
    own = Settings(_env_file=None, home=tmp_path, key_dir=tmp_path / "keys", token_keys=tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="PMLM_TOKEN_KEYS"):
        public_keys(own)
