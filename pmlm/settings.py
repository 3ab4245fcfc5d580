"""The settings of PMLM: paths, URLs and thresholds, from ``PMLM_*`` variables or ``.env``.

The state of a clinic is under ``<home>/<clinic>``. A clinic is a folder of nightly drops (``drops``), one folder per
date, with an optional ``clinic.yaml``: ``name``, ``clock`` (``wall`` or ``last_drop``), ``timezone``, ``hash_key``
(only for a public synthetic clinic) and overrides of ``params.yaml``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSettingError

from models.patient.currency import DEFAULT_RULE, CurrencyRule
from models.safety.crisis_lines import load_crisis_lines
from pmlm.errors import SettingsError
from pmlm.language_models import EMBEDDED_ANSWER, LanguageModel, TokenPrice, Url, check_own_model

PROJECT = Path(__file__).resolve().parents[1]
_SUBJECT = re.compile(r"subject:([0-9]{1,19})")  # no FHIR id has a colon
Database = Annotated[str, Field(pattern=r"^(sqlite|postgresql://[^:@/]+(:[^@/]*)?@[^@/]+/[^/]+)$")]


class Manifest(BaseModel, extra="forbid"):
    """The contents of ``<drops>/clinic.yaml``; every field has a default."""

    name: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    clock: Literal["wall", "last_drop"] = "wall"
    timezone: str = "UTC"  # an IANA name: the clinic's days end at its midnight
    hash_key: str | None = None
    synthetic: bool = False
    synthesis: dict[str, Any] = Field(default_factory=dict)  # of a synthetic clinic: patients, seed, options
    params: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"timezone {name!r} is no IANA time zone, such as America/Los_Angeles") from error
        return name


def derive_pseudonym(key: bytes, *parts: str) -> int:
    """Derive the keyed 63-bit hash (BLAKE2b) of an identifier's parts; never 0."""
    digest = hashlib.blake2b("\x1f".join(parts).encode(), key=key[:64], digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1


class Settings(BaseSettings):
    """Paths, addresses and thresholds that a clinic may have to change."""

    model_config = SettingsConfigDict(env_prefix="PMLM_", env_file=".env", extra="ignore")

    home: Path = PROJECT / "state"
    drops: Path = PROJECT / "examples" / "clinic"
    key_dir: Path = Path.home() / ".config" / "pmlm" / "keys"
    engine: Literal["duckdb", "spark"] = "duckdb"  # computes the features
    spark_master: str = "local[*]"  # of engine spark
    spark_connection: str | None = None  # Airflow's connection to submit the intake by; none: Airflow runs it
    online_store: str = "sqlite"  # or redis://HOST:PORT/DB, postgresql://USER:PASSWORD@HOST/NAME
    source: str | None = None  # where new records come from: a FHIR server's https URL, or a folder's (s3://, gs://…)
    source_group: str | None = None  # the FHIR Group to export; none: the whole system
    source_client_id: str | None = None  # of SMART Backend Services; none: the server asks for no token
    source_key: Path | None = None  # file of that client's private JWK
    k_anonymity: int = Field(default=10, ge=10)
    max_line_mb: int = Field(default=16, ge=1)
    terminology_url: Url | None = None  # a FHIR terminology server, asked at night for what local codes mean

    llm_base_url: Url | None = None
    llm_api_key: str | None = None
    llm_model: str = EMBEDDED_ANSWER  # or smollm2-135m-instruct, or a .gguf file; with llm_base_url its model's name
    llm_timeout_s: float = Field(default=30.0, gt=0)  # of a whole request: queue, prompt, every attempt, the stream
    llm_fallbacks: list[LanguageModel] = []
    llm_prices: dict[str, TokenPrice] = {}  # by model: what a million tokens of input, cached_input, output cost
    llm_system_message: Literal["merged", "separate"] = "merged"  # the prompt and the application's own: one or several
    llm_context_tokens: int | None = Field(default=None, ge=256)
    llm_concurrency: int = Field(default=256, ge=1)
    queue: int = Field(default=64, ge=1)
    triage_llm: LanguageModel | None = None  # reads every message beside the rules; may escalate
    crisis_country: str | None = None  # whose crisis line is named after words of self-harm: US, GB, CN, …

    scorer: Literal["embedded", "vllm", "completions", "judge"] = "embedded"  # its likelihoods are the reward
    scorer_base_url: Url | None = None
    scorer_model: str | None = None
    scorer_api_key: str | None = None
    scorer_template: Path | None = None  # of scorer completions: a chat format in Jinja, by default ChatML
    scorer_timeout_s: float = Field(default=60.0, gt=0)
    scorer_concurrency: int = Field(default=8, ge=1)
    judge_base_url: Url | None = None
    judge_model: str | None = None
    judge_api_key: str | None = None

    token_audience: str | None = None  # required aud of a token; by default pmlm:<clinic>
    token_issuer: str | None = None
    token_jwks_url: Url | None = None
    token_keys: Path | None = None
    rate_limit: str = "6000/minute"  # per client, in the notation of the package limits
    medicine_days: int = Field(default=DEFAULT_RULE.medicine_days, ge=1)  # current without a stated supply
    acute_days: int = Field(default=DEFAULT_RULE.acute_days, ge=1)  # an acute condition is current
    explanation_days: int = Field(default=30, ge=0)
    feedback_a_day: int = Field(default=3, ge=0)
    feedback_days: int = Field(default=90, ge=1)
    cds_issuers: dict[str, Url] = {}  # EHRs whose CDS Hooks tokens are accepted: iss → URL of their key set
    cds_url: Url | None = None  # the address by which CDS clients call this endpoint
    cds_drafts: bool = False  # whether the patient-view card drafts a reply to her newest unanswered question
    cds_origins: str = "*"  # origins of browser-based CDS clients, separated by spaces
    trusted_proxies: str = ""  # reverse proxies whose X-Forwarded-For counts: addresses, networks, separated by spaces

    canary: str | None = None  # a release whose prompts a share of patients gets, the same ones every time
    canary_share: float = Field(default=0.0, ge=0.0, le=1.0)
    shadow: str | None = None  # a release that chooses beside the served one, and is only counted

    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=0, le=65535)
    workers: int = Field(default=0, ge=0)  # processes of the endpoint; 0: one a core, as far as memory allows
    airflow_port: int = Field(default=8080, ge=0, le=65535)
    airflow_database: Database = "sqlite"  # where Airflow stores its runs; or postgresql://USER:PASSWORD@HOST/NAME
    alert_url: str | None = None  # where alerts go, as an apprise URL: mailto://, slack://, json://…; none: nowhere
    lineage_url: Url | None = None  # where each stage's OpenLineage events are posted, beside their file
    night_cron: str = "0 2 * * *"  # when the scheduled night starts, UTC

    @field_validator("crisis_country")
    @classmethod
    def _require_known_country(cls, value: str | None) -> str | None:
        if not value:
            return None
        if value.upper() not in load_crisis_lines():
            known = ", ".join(load_crisis_lines())
            raise ValueError(f"no crisis line is known for this country; there is one for {known}")
        return value.upper()

    @field_validator("llm_model")
    @classmethod
    def _require_known_model(cls, value: str, info: ValidationInfo) -> str:
        return value if info.data.get("llm_base_url") else check_own_model(value)

    @property
    def llm_name(self) -> str:
        """The name by which the server of ``llm_base_url`` is asked for its model."""
        return "default" if self.llm_model == EMBEDDED_ANSWER else self.llm_model

    @property
    def currency_rule(self) -> CurrencyRule:
        """The clinic's rule of which medicines and conditions are current."""
        return CurrencyRule(self.medicine_days, self.acute_days)

    @cached_property
    def manifest(self) -> Manifest:
        """The clinic's manifest, all defaults where ``clinic.yaml`` is absent."""
        path = self.drops / "clinic.yaml"
        return Manifest.model_validate(yaml.safe_load(path.read_text()) or {}) if path.exists() else Manifest()

    @cached_property
    def clinic(self) -> str:
        """The clinic's name: the manifest's, else the drops folder's, in lower case."""
        if self.manifest.name:
            return self.manifest.name
        raw = "".join(c if c.isalnum() else "-" for c in self.drops.resolve().name.lower()).strip("-")
        return raw or "clinic"

    @property
    def audience(self) -> str:
        """The required ``aud`` of a token for this clinic."""
        return self.token_audience or f"pmlm:{self.clinic}"

    @property
    def workspace(self) -> Path:
        """The clinic's Git and DVC workspace, with everything that its nights write."""
        return self.home / self.clinic

    @cached_property
    def hash_key(self) -> bytes:
        """The clinic's pseudonymisation key: the manifest's public one, else ``key_dir/<clinic>.key``.

        Created on first use with mode 600, outside the repository. Without it no patient's history can be found again.
        """
        if self.manifest.hash_key:
            return self.manifest.hash_key.encode()
        path = self.key_dir / f"{self.clinic}.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_suffix(f".{os.getpid()}.part")
            temporary.touch(mode=0o600, exist_ok=True)
            temporary.write_text(secrets.token_hex(32))
            try:
                os.link(temporary, path)  # fails if another process created the key first
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return path.read_bytes().strip()

    def pseudonym(self, *parts: str) -> int:
        """Keyed 63-bit hash (BLAKE2b) of an identifier's parts; never 0."""
        return derive_pseudonym(self.hash_key, *parts)

    def subject_id(self, reference: str) -> int:
        """The subject id of ``subject:<number>`` or a FHIR reference (``Patient/x``, ``urn:uuid:x`` or ``x``)."""
        if (direct := _SUBJECT.fullmatch(reference)) and int(direct[1]) < 1 << 63:
            return int(direct[1])
        return self.pseudonym("Patient", reference.rsplit("/", 1)[-1].removeprefix("urn:uuid:"))

    def now(self) -> datetime:
        """The clinic's clock: the system's, or with ``clock: last_drop`` the end of the last night."""
        if self.manifest.clock == "last_drop" and (path := self.workspace / "clock.json").exists():
            return datetime.fromisoformat(json.loads(path.read_text())["as_of"])
        return self.localize(datetime.now(UTC))

    def localize(self, moment: datetime) -> datetime:
        """A moment in the clinic's wall time, written as UTC like every time in the log."""
        return moment.astimezone(UTC) if self.zone is None else moment.astimezone(self.zone).replace(tzinfo=UTC)

    @cached_property
    def zone(self) -> ZoneInfo | None:
        """The clinic's time zone where it is not UTC; times in the log are its wall time, written as UTC."""
        return None if self.manifest.timezone in ("UTC", "Etc/UTC", "GMT") else ZoneInfo(self.manifest.timezone)

    @property
    def events(self) -> Path:
        return self.workspace / "data" / "events"

    @property
    def quarantine(self) -> Path:
        return self.workspace / "quarantine"

    @property
    def features(self) -> Path:
        return self.workspace / "data" / "features"

    @property
    def feast(self) -> Path:
        return self.workspace / "feast"

    @property
    def episodes(self) -> Path:
        return self.workspace / "data" / "episodes"

    @property
    def models(self) -> Path:
        return self.workspace / "models"

    @property
    def metrics(self) -> Path:
        return self.workspace / "metrics"

    @property
    def reports(self) -> Path:
        return self.workspace / "reports"

    @property
    def runs(self) -> Path:
        return self.workspace / "runs"

    @property
    def embedded_llm(self) -> Path:
        """The embedded LLM, converted once to safetensors and shared by all clinics."""
        return self.home / ".embedded-llm"


def load_settings(**overrides: Any) -> Settings:
    """Load this process's settings, ``overrides`` first; SettingsError in one line names the first that is none."""
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name, *within = [str(part) for part in first["loc"]] or ["settings"]
        place = "".join(f"[{part}]" for part in within)
        raise SettingsError(f"PMLM_{name.upper()}{place}: {first['msg'].removeprefix('Value error, ')}") from None
    except UnreadableSettingError as error:  # a list or an object that is no JSON
        field = re.search(r'field "(\w+)"', str(error))
        raise SettingsError(f"PMLM_{field[1].upper() if field else '…'}: must be JSON") from None


def format_settings(settings: Settings) -> dict[str, str]:
    """The settings as variables for :func:`load_settings`; paths are absolute, for a process in another folder."""
    paths = {name: value.absolute() for name, value in settings if isinstance(value, Path)}
    values = settings.model_copy(update=paths).model_dump(mode="json", exclude_none=True)
    return {f"PMLM_{name.upper()}": v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}
