"""Collect every persisted or public name from the code and compare it with a snapshot.

``python -m tests.unit.persisted.snapshot --write`` rewrites ``snapshot.json``. A name that vanishes from it forces a
clinic to rebuild its files or breaks a client: rewrite it only where that is intended.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.unit.persisted import file_names, literal_names, public_names, record_names, stage_names

SNAPSHOT = Path(__file__).with_suffix(".json")
FAMILIES = {
    f"{room} {family.__name__}": family
    for room, module in (
        ("file", file_names),
        ("record", record_names),
        ("public", public_names),
        ("stage", stage_names),
        ("literal", literal_names),
    )
    for family in module.FAMILIES
}
Names = Mapping[str, Sequence[str]]


def collect() -> dict[str, list[str]]:
    """Return the sorted names of each family as the code has them now."""
    found = {}
    for name, family in FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = sorted(set(family(Path(folder))))
    return found


def stored() -> dict[str, list[str]]:
    """Return the names of each family as the snapshot has them."""
    read: dict[str, list[str]] = json.loads(SNAPSHOT.read_text())
    return read


def differences(before: Names, now: Names) -> Iterator[str]:
    """Yield one line for each name that appeared or vanished."""
    for family in sorted({*before, *now}):
        old, new = set(before.get(family, ())), set(now.get(family, ()))
        yield from (f"vanished from {family}: {name}" for name in sorted(old - new))
        yield from (f"appeared in {family}: {name}" for name in sorted(new - old))


def main() -> None:
    """Print what differs from the snapshot, or rewrite it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="rewrite the snapshot")
    now = collect()
    if parser.parse_args().write:
        SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in differences(stored(), now))


if __name__ == "__main__":
    main()
