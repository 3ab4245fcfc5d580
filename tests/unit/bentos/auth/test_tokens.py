"""Which tokens say who asks, and which say nothing: signature, algorithm, audience, issuer, time, patients."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bentos.auth import keys
from bentos.auth.tokens import TokenVerifier
from pmlm.errors import KeysUnavailableError, SettingsError, TokenError
from pmlm.settings import Settings
from tests.unit.bentos.auth.clinic_tokens import EC, ISSUER, RSA, KeyServer, claims, clinic, signed

PUBLIC = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "RS384"), (EC, "ES256")])
def test_a_token_of_the_identity_provider_names_its_client_and_scopes(
    settings: Settings, key: Any, algorithm: str
) -> None:
    principal = TokenVerifier(settings).verify(signed(claims(settings), key, algorithm))
    assert principal.client == "app"
    assert principal.scopes == {"system/Patient.rs"}
    assert principal.patients is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"exp": -120}, "expired"),
        ({"exp": None}, "lacks a claim"),
        ({"nbf": 120}, "not valid yet"),
        ({"aud": "pmlm:another"}, "not meant for this clinic"),
        ({"aud": None}, "lacks a claim"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": None}, "lacks a claim"),
        ({"client_id": None}, "names no client"),
        ({"client_id": 7}, "names no client"),
        ({"clinic": "another"}, "another clinic"),
        ({"scope": "patient/Patient.rs"}, "must name its patient"),
        ({"patients": [1, 2]}, "list of references"),
        ({"patients": {"a": 1}}, "list of references"),
        ({"patients": None, "patient": ""}, "list of references"),
        ({"patients": ["p"] * 1001}, "list of references"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused_with_the_reason(
    settings: Settings, wrong: dict[str, Any], reason: str
) -> None:
    moments = {claim: int(time.time()) + wrong[claim] for claim in ("exp", "nbf") if wrong.get(claim)}
    with pytest.raises(TokenError, match=reason):
        TokenVerifier(settings).verify(signed(claims(settings, **wrong | moments)))


def _unsigned(content: dict[str, Any]) -> str:
    return jwt.encode(content, None, "none", headers={"kid": "rsa"})


def _hmac_with_the_public_key(content: dict[str, Any]) -> str:
    """The classic confusion: the RSA public key, which everyone knows, used as an HMAC secret."""
    import hashlib
    import hmac

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    body = part(json.dumps({"alg": "HS256", "kid": "rsa"}).encode()) + b"." + part(json.dumps(content).encode())
    return (body + b"." + part(hmac.new(PUBLIC, body, hashlib.sha256).digest())).decode()


def _hmac_key_of_the_provider(content: dict[str, Any]) -> str:
    return jwt.encode(content, "secret-secret-secret-secret-secret", "HS256", headers={"kid": "hmac"})


def _own_key_in_the_header(content: dict[str, Any]) -> str:
    mine = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(mine.public_key()))
    return jwt.encode(content, mine, "RS256", headers={"kid": "rsa", "jwk": jwk, "jku": "http://127.0.0.1:1/"})


def _other_key_by_the_same_name(content: dict[str, Any]) -> str:
    return signed(content, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _cut(content: dict[str, Any]) -> str:
    return signed(content)[:-20]


def _claims_changed(content: dict[str, Any]) -> str:
    head, _, signature = signed(content).split(".")
    body = base64.urlsafe_b64encode(json.dumps(content | {"scope": "system/*.cruds"}).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


def _development_key_by_name(content: dict[str, Any]) -> str:
    return signed(content, EC, "ES256", kid=keys.DEVELOPMENT)


def _no_key_id(content: dict[str, Any]) -> str:
    return jwt.encode(content, RSA, "RS256")


def _unknown_key_id(content: dict[str, Any]) -> str:
    return signed(content, kid="../../etc/passwd")


@pytest.mark.parametrize(
    "forged",
    [
        _unsigned,
        _hmac_with_the_public_key,
        _hmac_key_of_the_provider,
        _own_key_in_the_header,
        _other_key_by_the_same_name,
        _cut,
        _claims_changed,
        _development_key_by_name,
        _no_key_id,
        _unknown_key_id,
        lambda _: "",
        lambda _: "a.b.c",
        lambda _: "é" * 20,
        lambda _: "a" * 100_000,
    ],
)
def test_a_forged_token_is_refused(settings: Settings, forged: Any) -> None:
    with pytest.raises(TokenError):
        TokenVerifier(settings).verify(forged(claims(settings)))


def test_a_token_is_bound_to_the_patients_it_names_in_any_form(settings: Settings) -> None:
    ann, bea = settings.subject_id("ann"), settings.subject_id("bea")
    verifier = TokenVerifier(settings)
    for stated in ({"patients": ["Patient/ann", f"subject:{bea}"]}, {"patients": ["urn:uuid:ann"], "patient": "bea"}):
        assert verifier.verify(signed(claims(settings, **stated))).patients == {ann, bea}
    assert verifier.verify(signed(claims(settings, patients=[]))).patients == frozenset()
    level = claims(settings, scope="patient/Patient.rs", patient="ann")
    assert verifier.verify(signed(level)).patients == {ann}


def test_a_provider_that_serves_several_clinics_opens_only_the_one_its_token_is_for(
    tmp_path: Path, keys_at: KeyServer
) -> None:
    here = clinic(tmp_path / "a", token_jwks_url=keys_at.url, token_issuer=ISSUER)
    there = Settings(
        home=here.home,
        drops=tmp_path / "st-bride",
        key_dir=here.key_dir,
        token_jwks_url=keys_at.url,
        token_issuer=ISSUER,
    )
    token = signed(claims(here))
    assert TokenVerifier(here).verify(token)
    with pytest.raises(TokenError, match="not meant for this clinic"):
        TokenVerifier(there).verify(token)
    with pytest.raises(TokenError):
        TokenVerifier(there).verify(keys.development_token(here))


def test_keys_are_fetched_once_and_a_storm_of_unknown_ids_does_not_reach_the_provider(
    settings: Settings, keys_at: KeyServer
) -> None:
    verifier = TokenVerifier(settings)
    for client in range(5):
        verifier.verify(signed(claims(settings, client_id=f"app{client}")))
    for number in range(20):
        with pytest.raises(TokenError):
            verifier.verify(signed(claims(settings), kid=f"unknown{number}"))
    assert keys_at.asked == 1


@pytest.mark.attack("access", "a token with an unknown key while the provider is down", "known keys open as before")
def test_a_bad_token_does_not_make_a_known_key_unavailable(
    settings: Settings, keys_at: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = TokenVerifier(settings)
    verifier.verify(signed(claims(settings, client_id="a")))
    assert verifier._jwks is not None
    monkeypatch.setattr(verifier._jwks._client, "cooldown_duration", 0)  # as if the set had been fetched a while ago
    keys_at.broken = True
    with pytest.raises(KeysUnavailableError):
        verifier.verify(signed(claims(settings), kid="unknown"))
    assert verifier.verify(signed(claims(settings, client_id="b"))).client == "b"


def test_a_provider_that_is_down_is_said_and_not_asked_again_at_once(settings: Settings, keys_at: KeyServer) -> None:
    keys_at.broken = True
    verifier = TokenVerifier(settings)
    for _ in range(5):
        with pytest.raises(KeysUnavailableError):
            verifier.verify(signed(claims(settings)))
    assert keys_at.asked == 1
    assert verifier.verify(keys.development_token(settings)).client == keys.DEVELOPMENT


def test_a_checked_token_is_remembered_but_not_beyond_its_time(settings: Settings) -> None:
    verifier = TokenVerifier(settings)
    token = signed(claims(settings))
    assert verifier.find_cached(token) is None
    principal = verifier.verify(token)
    assert verifier.find_cached(token) == principal
    nearly_over = signed(claims(settings, exp=int(time.time()) - 29))
    verifier.verify(nearly_over)
    time.sleep(2.1)
    assert verifier.find_cached(nearly_over) is None


@pytest.mark.attack("access", "operator's keys without an issuer, so that any issuer's token passes", "no start")
def test_a_key_folder_without_an_issuer_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PMLM_TOKEN_KEYS needs PMLM_TOKEN_ISSUER"):
        TokenVerifier(clinic(tmp_path, token_keys=tmp_path))


def test_a_key_url_without_an_issuer_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PMLM_TOKEN_ISSUER"):
        TokenVerifier(clinic(tmp_path, token_jwks_url="https://id.example/jwks"))
