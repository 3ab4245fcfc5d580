"""How many workers the endpoint has where nobody says, and what each may take of a limit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pmlm.settings import Settings
from pmlm.worker_count import BYTES_EACH, count_workers, share_limit


def settings(**others: Any) -> Settings:
    return Settings(**({"workers": 0} | others))


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 8 * BYTES_EACH // 4096, "SC_PAGE_SIZE": 4096}.__getitem__)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("files", "workers"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000", "memory.max": "max"}, 4),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"memory.max": str(3 * BYTES_EACH + 1)}, 3),
        ({"memory.max": str(BYTES_EACH // 2)}, 1),
    ],
)
def test_there_is_one_worker_a_core_as_far_as_memory_and_a_container_allow(
    tmp_path: Path, files: dict[str, str], workers: int
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(f"{content}\n")
    assert count_workers(settings(), tmp_path) == workers


@pytest.mark.usefixtures("four_cores")
def test_a_language_model_in_the_workers_own_process_is_loaded_once(tmp_path: Path) -> None:
    assert count_workers(settings(llm_model="smollm2-135m-instruct"), tmp_path) == 1
    assert count_workers(settings(llm_model="m", llm_base_url="http://localhost:1/v1"), tmp_path) == 4


def test_the_setting_decides_where_there_is_one() -> None:
    assert count_workers(settings(workers=7)) == 7


def test_workers_share_a_limit_that_all_of_them_must_not_pass() -> None:
    assert [share_limit(256, settings(workers=n)) for n in (1, 2, 3)] == [256, 128, 85]
    assert share_limit(1, settings(workers=4)) == 1
