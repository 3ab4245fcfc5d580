"""Find the address of a client behind reverse proxies; a stranger's word is not believed.

``X-Forwarded-For`` lists the hops of a request, each proxy appending the address that called it. It counts only as far
as trusted proxies (``PMLM_TRUSTED_PROXIES``) wrote it: from the right, the first hop that is none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pmlm.errors import SettingsError

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(text: str) -> Networks:
    """The addresses and networks of the setting; :class:`SettingsError` for what is none."""
    try:
        return tuple(ip_network(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise SettingsError(f"PMLM_TRUSTED_PROXIES: {error}; write addresses or networks, 10.0.0.0/8") from None


def find_client_address(peer: str, forwarded: Iterable[str], trusted: Networks) -> str:
    """The address that the outermost trusted proxy saw; ``forwarded``: the header's values in order."""
    address = peer
    for hop in reversed([hop.strip() for value in forwarded for hop in value.split(",")]):
        if not _is_trusted(address, trusted):
            break
        parsed = _parse(hop)
        if parsed is None:  # no address: whoever wrote it, the proxy before it is all we know
            break
        address = str(parsed)
    return address


def _is_trusted(address: str, trusted: Networks) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address, perhaps with a port or in brackets; an IPv4 address in IPv6 form is the former."""
    bare = text.partition("]")[0].removeprefix("[") if text.startswith("[") else text
    if bare.count(":") == 1:  # 10.0.0.1:5000
        bare = bare.partition(":")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
