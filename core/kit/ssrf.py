"""Where a call to an address that somebody gave us may go: pure rules, without a network.

They keep server-side request forgery out (OWASP API7:2023): nobody reaches this machine, its neighbours or a cloud's
metadata service through us. A URL is read strictly, because what is lenient here is read differently by who connects;
then *every* address that its host resolves to is judged, and only a judged address may be connected to. The lists are
IANA's special-purpose registries (RFC 6890) and the addresses of clouds' metadata services.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_CHARS = 2048
_PORTS: Final = {"http": 80, "https": 443}
_MAX_HOST_CHARS = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# what WHATWG's URL standard takes for an IPv4 address, in whatever base
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_BLANKS_AND_CONTROLS = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\]")
_KEPT_IN_PATHS = "%/:@!$&'()*+,;=~?[]-._"

_PRIVATE = "a private network"
_METADATA = "a cloud's metadata service"
_LINK_LOCAL = "the local link, where clouds keep their metadata services"
_LOOPBACK = "this machine itself"
_RESERVED = "reserved"
_EXAMPLES = "for examples in documents only"
_MULTICAST = "for multicast"
_TUNNEL = "a tunnel to another address"

_REFUSED: Final[Sequence[tuple[Network, str]]] = [
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", _LOOPBACK),
        ("10.0.0.0/8", _PRIVATE),
        ("100.100.100.200/32", _METADATA),
        ("100.64.0.0/10", "a provider's own network (CGNAT)"),
        ("127.0.0.0/8", _LOOPBACK),
        ("168.63.129.16/32", _METADATA),
        ("169.254.0.0/16", _LINK_LOCAL),
        ("172.16.0.0/12", _PRIVATE),
        ("192.0.0.192/32", _METADATA),
        ("192.0.0.0/24", _RESERVED),
        ("192.0.2.0/24", _EXAMPLES),
        ("192.88.99.0/24", _TUNNEL),
        ("192.168.0.0/16", _PRIVATE),
        ("198.18.0.0/15", "for measurements only"),
        ("198.51.100.0/24", _EXAMPLES),
        ("203.0.113.0/24", _EXAMPLES),
        ("224.0.0.0/4", _MULTICAST),
        ("240.0.0.0/4", _RESERVED),
        ("::/128", _LOOPBACK),
        ("::1/128", _LOOPBACK),
        ("fd00:ec2::254/128", _METADATA),
        ("fd20:ce::254/128", _METADATA),
        ("fc00::/7", _PRIVATE),
        ("fe80::/10", _LINK_LOCAL),
        ("ff00::/8", _MULTICAST),
        ("2001::/32", _TUNNEL),
        ("2001::/23", _RESERVED),
        ("2001:db8::/32", _EXAMPLES),
        ("2002::/16", _TUNNEL),
        ("3fff::/20", _EXAMPLES),
    )
]
# all of the global unicast space that is given out; what lies outside is special in one way or another
_GLOBAL_IPV6 = ip_network("2000::/3")
# RFC 6052: the IPv4 address is in the last 32 bits
_NAT64 = ip_network("64:ff9b::/96")
_IPV4_BITS = 0xFFFFFFFF
# a name that an admin trusts may stand for a private address, but never for one of these
_NEVER_BY_NAME = frozenset({_METADATA, _LINK_LOCAL, _MULTICAST, _RESERVED})


class Refused(Exception):
    """The address is not one that we call. The message is a sentence for whoever gave it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in parts, of which there is one reading only."""

    scheme: str
    host: str
    """In ASCII and lower case; of an IPv6 address without brackets."""
    port: int
    path: str
    """With the query, percent-encoded."""
    address: Address | None
    """The host, if it is an address."""

    @property
    def authority(self) -> str:
        """As a `Host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What an installation allows. Hosts and networks of its own may be reached by plain HTTP and on any port."""

    allowed_hosts: frozenset[str] = frozenset()
    allowed_networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset(_PORTS.values())
    needs_https: bool = True

    @classmethod
    def parse(cls, *, allow: str, ports: str, needs_https: bool) -> "Rules":
        """From lists with commas between. Raises `ValueError`."""
        hosts, networks = set[str](), list[Network]()
        for entry in _entries(allow):
            try:
                networks.append(ip_network(entry))
            except ValueError:
                try:
                    hosts.add(_name(entry.lower()))
                except Refused as error:
                    raise ValueError(f"{entry!r} is neither a host nor a network such as 10.0.0.0/8.") from error
        return cls(
            allowed_hosts=frozenset(hosts),
            allowed_networks=tuple(networks),
            ports=frozenset(map(int, _entries(ports))),
            needs_https=needs_https,
        )

    def check(self, target: Target, addresses: Sequence[Address]) -> None:
        """Raises `Refused` unless every one of the addresses that the target's host stands for may be called."""
        if not addresses:
            raise Refused(f"The host {target.host} has no address. Check its spelling.")
        is_own = [self._is_allowed(target.host, address) for address in addresses]
        for address, is_allowed in zip(addresses, is_own, strict=True):
            what = why_refused(address)
            if what is not None and not is_allowed:
                raise Refused(
                    f"{_named(target, address)} is {what}, which is not called from here. Give an address that is "
                    "reachable from the internet, or have whoever runs this installation add it to "
                    "TAILORBIRD_OUTBOUND_ALLOW."
                )
        if all(is_own):
            return
        if self.needs_https and target.scheme != "https":
            raise Refused("Only https:// addresses are called from here, so that nobody reads along.")
        if target.port not in self.ports:
            known = ", ".join(map(str, sorted(self.ports)))
            raise Refused(f"Port {target.port} is not called from here; these are: {known}.")

    def _is_allowed(self, host: str, address: Address) -> bool:
        plain = _plain(address)
        if any(plain in network for network in self.allowed_networks if network.version == plain.version):
            return True
        return host in self.allowed_hosts and why_refused(address) not in _NEVER_BY_NAME


def parse(url: str) -> Target:
    """Read a URL in the one way that everybody reads it. Raises `Refused` for anything else."""
    if len(url) > MAX_URL_CHARS:
        raise Refused(f"The address is longer than {MAX_URL_CHARS} characters.")
    if _BLANKS_AND_CONTROLS.search(url):
        raise Refused("The address has blanks, line breaks, backslashes or other characters that no address has.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused("This is not an address. Give one such as https://example.com/hooks.") from error
    if parts.scheme not in _PORTS:
        raise Refused("The address must begin with https://.")
    if "@" in parts.netloc:
        raise Refused("The address has a name or a password before its host. Leave them out.")
    if port == 0 or parts.netloc.endswith(":"):
        raise Refused("The address has a colon after its host, and no port.")
    host, address = _host(parts)
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port or _PORTS[parts.scheme],
        path=_path(parts),
        address=address,
    )


def why_refused(address: Address) -> str | None:
    """What is special about an address, in words that follow "is"; None if it is an ordinary public one."""
    plain = _plain(address)
    if isinstance(plain, IPv6Address) and plain in _NAT64:
        return why_refused(IPv4Address(int(plain) & _IPV4_BITS))
    for network, what in _REFUSED:
        if plain.version == network.version and plain in network:
            return what
    if isinstance(plain, IPv6Address) and plain not in _GLOBAL_IPV6:
        return _RESERVED
    return None


def addresses_of(found: Iterable[str]) -> Iterator[Address]:
    """What a resolver answered, each once. Raises `Refused` for what is bound to one of this machine's interfaces."""
    for text in dict.fromkeys(found):
        if "%" in text:
            raise Refused("The host stands for an address on the local link, which is not called from here.")
        yield ip_address(text)


def _plain(address: Address) -> Address:
    """Of an IPv4 address written as IPv6 (`::ffff:127.0.0.1`), the IPv4 address: it is the same host."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _host(parts: SplitResult) -> tuple[str, Address | None]:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            address = IPv6Address(host)
        except ValueError as error:
            raise Refused("What stands in brackets is not an IPv6 address.") from error
        if "%" in host:
            raise Refused("The address names an interface of this machine.")
        return str(address), address
    name = _name(host)
    if not _NUMBER.fullmatch(name.rpartition(".")[2]):
        return name, None
    try:
        return name, IPv4Address(name)
    except ValueError as error:
        raise Refused(
            f"{name} is a number in a form that programs read differently. Write it as four decimal numbers."
        ) from error


def _name(host: str) -> str:
    """In ASCII, with the dots and digits of other scripts made plain (UTS 46), and without a dot at its end."""
    try:
        ascii_name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except UnicodeError as error:
        raise Refused(f"{host} is not the name of a host.") from error
    name = ascii_name.removesuffix(".").lower()
    if len(name) > _MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise Refused("The address has no host, or one whose name has characters that no host's name has.")
    return name


def _path(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=_KEPT_IN_PATHS)
    return f"{path}?{quote(parts.query, safe=_KEPT_IN_PATHS)}" if parts.query else path


def _named(target: Target, address: Address) -> str:
    return target.host if target.address is not None else f"{target.host} stands for {address}, which"


def _entries(text: str) -> list[str]:
    return [entry for part in text.split(",") if (entry := part.strip())]
