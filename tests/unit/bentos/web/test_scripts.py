"""What a script of the pages imports, the other script exports: a browser says so only to its console."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pmlm.settings import PROJECT

STATIC = PROJECT / "bentos" / "web" / "static"
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([^"]+)";', re.M)
EXPORT = re.compile(r"^export (?:async )?(?:const|function|class|let) (\w+)", re.M)


@pytest.mark.parametrize("script", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_every_import_is_exported(script: Path) -> None:
    for names, source in IMPORT.findall(script.read_text()):
        exported = set(EXPORT.findall((STATIC / source).read_text()))
        assert {name.strip() for name in names.split(",") if name.strip()} <= exported, source


def test_the_pages_scripts_import_one_another() -> None:
    assert sum(len(IMPORT.findall(script.read_text())) for script in STATIC.glob("*.js")) > 20
