"""Check a release's files against its checksums, and the checksums against the clinic's signature.

``SHA256SUMS`` is in the format of ``sha256sum``; ``SHA256SUMS.minisig`` in that of minisign, so both can be checked by
hand: ``sha256sum -c SHA256SUMS`` and ``minisign -V -p KEY.pub -m SHA256SUMS``. The signature is checked where the
clinic's public key is, the checksums wherever a release is loaded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bentos.personalizer.release import MANIFEST, NO_RELEASE
from pmlm.errors import ServingError
from pmlm.settings import Settings

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.minisig"
PREHASHED = b"ED"  # minisign's algorithm: Ed25519 of the BLAKE2b-512 of the file
KEY_ALGORITHM = b"Ed"
TRUSTED = "trusted comment: "


def public_key_path(settings: Settings) -> Path:
    """The clinic's public key of releases, as minisign reads it."""
    return settings.key_dir / f"{settings.clinic}.release.pub"


def check_release_files(settings: Settings, folder: Path) -> None:
    """Check every file of the release in ``folder``; :class:`ServingError` names the first that is not as released."""
    if not (folder / MANIFEST).exists():
        raise ServingError(NO_RELEASE)
    if not (folder / SUMS).exists():
        raise ServingError(f"the release has no {SUMS}: run `pmlm package`")
    if public_key_path(settings).exists():
        _check_signature(folder, public_key_path(settings).read_text())
    named = read_checksums(folder)
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {SUMS, SIGNATURE, "model.yaml"}
    for name in sorted(found - set(named)):
        raise ServingError(f"the release has a file that it was not made with: {name}")
    for name, checksum in named.items():
        if name not in found or hash_file(folder / name) != checksum:
            raise ServingError(f"the release's {name} is {'changed' if name in found else 'missing'}: it is not served")


def read_checksums(folder: Path) -> dict[str, str]:
    """File → SHA-256, as ``SHA256SUMS`` has them."""
    lines = (folder / SUMS).read_text().splitlines()
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_signature(folder: Path, public_key: str) -> None:
    try:
        signed, trusted, trusted_signature = _parse_signature((folder / SIGNATURE).read_text())
        key = base64.b64decode(public_key.splitlines()[1], validate=True)
        algorithm, key_id, signature = signed[:2], signed[2:10], signed[10:]
        if algorithm != PREHASHED or key_id != key[2:10]:
            raise InvalidSignature
        verifier = Ed25519PublicKey.from_public_bytes(key[10:])
        verifier.verify(signature, prehash((folder / SUMS).read_bytes()))
        verifier.verify(trusted_signature, signature + trusted.encode())
    except (OSError, ValueError, IndexError, binascii.Error, InvalidSignature):
        raise ServingError(f"the release's {SIGNATURE} is not the clinic's: it is not served") from None


def prehash(content: bytes) -> bytes:
    """What minisign signs of a file."""
    return hashlib.blake2b(content).digest()


def _parse_signature(text: str) -> tuple[bytes, str, bytes]:
    """The signature with algorithm and key id, the trusted comment, and the signature of both."""
    _, signed, trusted, trusted_signature = text.splitlines()
    if not trusted.startswith(TRUSTED):
        raise ValueError(trusted)
    decode = base64.b64decode
    return decode(signed, validate=True), trusted.removeprefix(TRUSTED), decode(trusted_signature, validate=True)
