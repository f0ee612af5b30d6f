"""From which address a request came, and how much of it may be kept.

`X-Forwarded-For` is a claim of the sender. It is believed only where the connection comes from a trusted proxy, and
then from the right: each proxy adds whom it heard from, so that the first address which is no proxy is the client.
"""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from starlette.datastructures import Headers
from starlette.types import Scope

Detail = Literal["full", "network", "none"]

_UNKNOWN = "unknown"
_KEPT_BITS = {4: 24, 6: 48}


class ClientAddresses:
    def __init__(self, trusted_proxies: str) -> None:
        """Of the setting, which was found to be addresses and networks."""
        names = [name.strip() for name in trusted_proxies.split(",") if name.strip()]
        self._trusted: list[IPv4Network | IPv6Network] = [ip_network(name, strict=False) for name in names]
        self.is_trusted = lru_cache(maxsize=1024)(self._is_trusted)

    def of(self, scope: Scope, headers: Headers) -> str:
        """The client's address, or `unknown` for a connection that has none."""
        client = scope.get("client")
        found = _plain(client[0]) if client else None
        if found is None:
            return _UNKNOWN
        if not self.is_trusted(found):
            return found
        for part in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
            claimed = _plain(part)
            if claimed is None:
                break
            found = claimed
            if not self.is_trusted(found):
                break
        return found

    def _is_trusted(self, address: str) -> bool:
        return any(ip_address(address) in network for network in self._trusted)


@lru_cache(maxsize=1024)
def kept_address(address: str, detail: Detail) -> str | None:
    """As much of an address as the audit log is to keep."""
    if detail == "none" or address == _UNKNOWN:
        return None
    if detail == "full":
        return address
    return str(ip_network((address, _KEPT_BITS[ip_address(address).version]), strict=False))


@lru_cache(maxsize=1024)
def _plain(text: str) -> str | None:
    """An address as it is written without a port, brackets and a zone; None for what is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(found)
