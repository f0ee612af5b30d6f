"""Whom an address stands for, to count by: whoever has one address of IPv6 has as many of its network as they like."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

_IPV6_SITE_BITS = 64


@lru_cache(maxsize=4096)
def site_of(address: str) -> str | None:
    """An IPv4 address itself, of an IPv6 address its /64; None for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return str(ip_network((found, _IPV6_SITE_BITS), strict=False))
    return str(found)
