"""Copy dated folders from any place that fsspec reads (s3, gs, az, sftp, file)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import fsspec

from pmlm.errors import FetchError

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


def copy_new_folders(url: str, drops: Path) -> list[str]:
    """Copy each dated folder that ``drops`` lacks, whole or not at all; return their names.

    Raises ``FetchError`` where the place cannot be read.
    """
    try:
        system, root = fsspec.url_to_fs(url)
        names = sorted(
            Path(entry["name"]).name for entry in system.ls(root, detail=True) if entry["type"] == "directory"
        )
        wanted = [name for name in names if _DATED.fullmatch(name) and not (drops / name).exists()]
        for name in wanted:
            part = drops / f".{name}.fetch"
            shutil.rmtree(part, ignore_errors=True)
            system.get(f"{root.rstrip('/')}/{name}/", str(part), recursive=True)
            part.rename(drops / name)
    except ImportError as error:
        raise FetchError(f"PMLM_SOURCE: reading {url.partition(':')[0]}:// needs another package: {error}") from error
    except (OSError, ValueError) as error:
        raise FetchError(f"PMLM_SOURCE: the place cannot be read ({type(error).__name__})") from error
    return wanted
