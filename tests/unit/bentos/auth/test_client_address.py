"""Whose address a request has: the rightmost hop that no trusted proxy is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos.auth.client_address import find_client_address, parse_networks
from pmlm.errors import SettingsError

PROXIES = parse_networks("10.0.0.0/8, 127.0.0.1 fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.9", [], "192.0.2.9"),
        ("192.0.2.9", ["203.0.113.5"], "192.0.2.9"),  # no proxy of ours: its header is a stranger's word
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),  # what stands further left may be invented
        ("10.0.0.1", ["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
        ("127.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("fd00::1", ["[2001:db8::7]:443"], "2001:db8::7"),
        ("::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["203.0.113.5, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("", ["203.0.113.5"], ""),
    ],
)
def test_the_rightmost_untrusted_hop_counts(peer: str, forwarded: list[str], address: str) -> None:
    assert find_client_address(peer, forwarded, PROXIES) == address


@given(st.lists(st.text(max_size=30), max_size=3))
@pytest.mark.attack("access", "X-Forwarded-For from a caller that is no trusted proxy", "not believed")
def test_nothing_a_stranger_writes_changes_its_address(forwarded: list[str]) -> None:
    assert find_client_address("192.0.2.9", forwarded, PROXIES) == "192.0.2.9"
    assert find_client_address("127.0.0.1", forwarded, ()) == "127.0.0.1"


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(SettingsError, match="PMLM_TRUSTED_PROXIES"):
        parse_networks("10.0.0.0/8 proxy.example")
