"""How often a client may ask, and how often an address may be refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from clinic_tokens import clinic

from bentos.access.rates import Rates
from pipelines.errors import SettingsError


def test_a_client_is_told_how_long_to_wait_and_others_are_not_concerned(tmp_path: Path) -> None:
    rates = Rates(clinic(tmp_path, rate_limit="3/minute; 100/hour"))
    assert [rates.ask("a") for _ in range(3)] == [None, None, None]
    wait = rates.ask("a")
    assert wait is not None
    assert 1 <= wait <= 120
    assert rates.ask("b") is None


def test_an_address_of_many_refusals_is_shut_out_for_a_while(tmp_path: Path) -> None:
    rates = Rates(clinic(tmp_path))
    for _ in range(60):
        assert rates.shut_out("10.0.0.1") is None
        rates.refuse("10.0.0.1")
    assert rates.shut_out("10.0.0.1")
    assert rates.shut_out("10.0.0.2") is None


def test_a_rate_that_is_none_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PMLM_RATE_LIMIT"):
        Rates(clinic(tmp_path, rate_limit="often"))
