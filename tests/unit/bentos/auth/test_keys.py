"""The development key and token: made once, private, renewed in time, and no more than they should be."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bentos.auth import keys
from bentos.auth.tokens import TokenVerifier
from pmlm.errors import SettingsError, TokenError
from tests.unit.bentos.auth.clinic_tokens import EC, ISSUER, RSA, claims, clinic, signed


def pem(key: object) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form)  # type: ignore[attr-defined,no-any-return]


def test_key_and_token_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    token = keys.development_token(settings)
    assert keys.development_token(settings) == token
    for path in (keys.key_path(settings), keys.token_path(settings)):
        assert path.parent == settings.key_dir
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(settings.key_dir.glob("*.part"))
    principal = TokenVerifier(settings).verify(token)
    assert (principal.client, principal.patients) == (keys.DEVELOPMENT, None)


def test_the_token_is_shown_once(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    keys.development_token(settings)  # the night may have needed it before anyone looked
    assert keys.take_new_token(settings) == keys.development_token(settings)
    assert keys.take_new_token(settings) is None


def test_a_token_about_to_expire_or_of_a_lost_key_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = clinic(tmp_path)
    with monkeypatch.context() as short:
        short.setattr(keys, "DEVELOPMENT_HOURS", 1)
        expiring = keys.development_token(settings)
    renewed = keys.development_token(settings)
    assert renewed != expiring
    keys.key_path(settings).unlink()
    anew = keys.development_token(settings)
    assert anew != renewed
    assert TokenVerifier(settings).verify(anew)
    with pytest.raises(TokenError):
        TokenVerifier(settings).verify(renewed)


def test_a_bound_token_names_no_reference(tmp_path: Path) -> None:
    settings = clinic(tmp_path)
    ann = settings.subject_id("ann")
    token = keys.mint(settings, "app", ["system/Patient.rs"], [ann], 1)
    principal = TokenVerifier(settings).verify(token)
    assert (principal.client, principal.patients) == ("app", {ann})
    with pytest.raises(TokenError, match="expired"):
        TokenVerifier(settings).verify(keys.mint(settings, "app", [], None, -1))


def test_an_operators_public_keys_are_taken_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "rsa.pem").write_bytes(pem(RSA.public_key()))
    (folder / "ec.pem").write_bytes(pem(EC.public_key()))
    settings = clinic(tmp_path, token_keys=folder, token_issuer=ISSUER)
    verifier = TokenVerifier(settings)
    assert verifier.verify(signed(claims(settings))).client == "app"
    assert verifier.verify(signed(claims(settings), EC, "ES256")).client == "app"
    with pytest.raises(TokenError, match="another issuer"):
        verifier.verify(signed(claims(settings, iss="https://other.example")))


@pytest.mark.parametrize(
    "content",
    [
        b"no key",
        pem(rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()),
        pem(ed25519.Ed25519PrivateKey.generate().public_key()),
        pem(ec.generate_private_key(ec.SECP256K1()).public_key()),
    ],
    ids=["no key", "short RSA", "Ed25519", "another curve"],  # the same in every worker: each draws its own keys
)
def test_a_file_that_is_no_usable_public_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.pem").write_bytes(content)
    with pytest.raises(SettingsError, match=r"mine\.pem"):
        keys.public_keys(clinic(tmp_path, token_keys=tmp_path))
