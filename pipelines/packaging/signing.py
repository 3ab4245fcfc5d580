"""Write a release's checksums and sign them with the clinic's key, as minisign does.

The key (Ed25519) is made on first use in ``PMLM_KEY_DIR``, mode 600, outside the repository; ``<clinic>.release.pub``
beside it is what others verify with. Signing the same files gives the same bytes.
"""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bentos.personalizer.release_files import (
    KEY_ALGORITHM,
    PREHASHED,
    SIGNATURE,
    SUMS,
    TRUSTED,
    hash_file,
    prehash,
    public_key_path,
)
from pmlm.settings import Settings
from pmlm.storage import make_private_folder, write_bytes


def sign_release(settings: Settings, folder: Path, name: str) -> None:
    """Write ``SHA256SUMS`` of all files in ``folder``, and its signature; ``name`` is signed with it."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in (SUMS, SIGNATURE))
    sums = "".join(f"{hash_file(path)}  {path.relative_to(folder)}\n" for path in files).encode()
    key = _load_key(settings)
    key_id, comment = _name_key(key), f"release {name} of clinic {settings.clinic}"
    signature = key.sign(prehash(sums))
    lines = (
        f"untrusted comment: signature of the clinic {settings.clinic}",
        _encode(PREHASHED + key_id + signature),
        f"{TRUSTED}{comment}",
        _encode(key.sign(signature + comment.encode())),
    )
    write_bytes(folder / SUMS, sums)
    write_bytes(folder / SIGNATURE, "".join(f"{line}\n" for line in lines).encode())


def _load_key(settings: Settings) -> Ed25519PrivateKey:
    path = settings.key_dir / f"{settings.clinic}.release.key"
    if not path.exists():
        make_private_folder(path.parent)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        write_bytes(part, Ed25519PrivateKey.generate().private_bytes_raw())
        with suppress(FileExistsError):  # another process was first
            os.link(part, path)
        part.unlink()
    key = Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    public = _encode(KEY_ALGORITHM + _name_key(key) + key.public_key().public_bytes_raw())
    content = f"untrusted comment: releases of the clinic {settings.clinic}\n{public}\n".encode()
    if not public_key_path(settings).exists() or public_key_path(settings).read_bytes() != content:
        write_bytes(public_key_path(settings), content)
    return key


def _name_key(key: Ed25519PrivateKey) -> bytes:
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return blake2b(public, digest_size=8).digest()


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()
