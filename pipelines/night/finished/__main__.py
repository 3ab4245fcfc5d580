"""Pack the sample clinic's last night as the one that ships: ``make finished-night``."""

from __future__ import annotations

import sys

from pipelines.night.finished.archive import ARCHIVE, pack_night
from pmlm.settings import load_settings

if __name__ == "__main__":
    packed = pack_night(load_settings())
    size = f"{len(packed['files'])} files in {ARCHIVE.stat().st_size:,} bytes"
    sys.stdout.write(f"{ARCHIVE.name}: night {packed['night']}, {size}\n")
