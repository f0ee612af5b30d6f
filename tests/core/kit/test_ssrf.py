"""Which addresses may be called, and the one reading of a URL. Attacks: `tests/contracts/test_outbound.py`."""

from ipaddress import ip_address

import pytest

from core.kit.ssrf import Refused, Rules, Target, addresses_of, parse, why_refused

PUBLIC = ip_address("93.184.215.14")
OPEN = Rules(ports=frozenset({80, 443}), needs_https=False)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://Example.com", "example.com", 443, "/", "example.com"),
        ("https://example.com:8443/a?b=c#d", "example.com", 8443, "/a?b=c", "example.com:8443"),
        ("https://example.com.:443/", "example.com", 443, "/", "example.com"),
        (
            "https://bücher.example/ä?ö=ü",
            "xn--bcher-kva.example",
            443,
            "/%C3%A4?%C3%B6=%C3%BC",
            "xn--bcher-kva.example",
        ),
        ("https://bücher。example/", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
        ("https://my_service/%2Fa", "my_service", 443, "/%2Fa", "my_service"),
        ("https://93.184.215.14/", "93.184.215.14", 443, "/", "93.184.215.14"),
        ("https://[2606:4700::1111]:8443/", "2606:4700::1111", 8443, "/", "[2606:4700::1111]:8443"),
        ("https://[2606:4700:0:0::1111]/", "2606:4700::1111", 443, "/", "[2606:4700::1111]"),
    ],
)
def test_a_url_has_one_reading(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = parse(url)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "https://",
        "https:///path",
        "https://exa mple.com",
        "https://example.com/a\nb",
        "https://example.com\t",
        "https://.example.com",
        "https://example..com",
        "https://-.example.com",
        "https://a:b",
        "https://[::1",
        "https://" + "a" * 64 + ".com",
        "https://" + "a." * 127 + "com",
        "https://example.com/" + "a" * 2048,
        "https://exam\u200bple.com\u2028/",
    ],
)
def test_what_has_no_reading_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        parse(url)


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::5db8:d70e"]
)
def test_public_addresses_may_be_called(address: str) -> None:
    assert why_refused(ip_address(address)) is None
    OPEN.check(parse("http://example.com"), [ip_address(address)])


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.1", "this machine"),
        ("::ffff:10.0.0.1", "private"),
        ("169.254.169.254", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("fd00::1", "private"),
        ("100.64.0.1", "CGNAT"),
        ("64:ff9b::10.0.0.1", "private"),
        ("2002:a00:1::", "tunnel"),
        ("2001:0:1::", "tunnel"),
        ("4000::1", "reserved"),
    ],
)
def test_special_addresses_are_refused_with_the_reason(address: str, what: str) -> None:
    with pytest.raises(Refused, match=what):
        OPEN.check(parse("http://example.com"), [ip_address(address)])


def test_one_special_address_among_public_ones_is_enough() -> None:
    with pytest.raises(Refused, match=r"stands for 10\.0\.0\.1"):
        OPEN.check(parse("http://example.com"), [PUBLIC, ip_address("10.0.0.1")])
    with pytest.raises(Refused, match="no address"):
        OPEN.check(parse("http://example.com"), [])


def test_plain_http_and_other_ports_are_refused() -> None:
    strict = Rules.parse(allow="", ports="443, 8443", needs_https=True)
    strict.check(parse("https://example.com:8443"), [PUBLIC])
    with pytest.raises(Refused, match="https"):
        strict.check(parse("http://example.com:443"), [PUBLIC])
    with pytest.raises(Refused, match=r"Port 22 .* 443, 8443"):
        strict.check(parse("https://example.com:22"), [PUBLIC])


class TestTheAllowList:
    RULES = Rules.parse(allow=" 10.1.0.0/16, LLM.internal ,fd12::/16,127.0.0.1 ", ports="443", needs_https=True)

    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("anything.test", "10.1.2.3"),
            ("anything.test", "::ffff:10.1.2.3"),
            ("anything.test", "fd12::1"),
            ("llm.internal", "192.168.1.1"),
            ("llm.internal", "127.0.0.1"),
        ],
    )
    def test_own_hosts_and_networks_are_called_by_plain_http_at_any_port(self, host: str, address: str) -> None:
        self.RULES.check(parse(f"http://{host}:11434/"), [ip_address(address)])

    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("anything.test", "10.2.0.1"),
            ("anything.test", "127.0.0.2"),
            ("llm.internal.evil.test", "192.168.1.1"),
            ("llm.internal", "169.254.169.254"),
            ("llm.internal", "fd00:ec2::254"),
            ("llm.internal", "224.0.0.1"),
        ],
    )
    def test_nothing_else_is(self, host: str, address: str) -> None:
        with pytest.raises(Refused):
            self.RULES.check(parse(f"http://{host}:11434/"), [ip_address(address)])

    def test_an_own_address_beside_a_public_one_opens_no_port(self) -> None:
        with pytest.raises(Refused, match="https"):
            self.RULES.check(parse("http://anything.test"), [ip_address("10.1.2.3"), PUBLIC])

    @pytest.mark.parametrize("allow", ["10.0.0.1/8", "a b", "*.internal", "http://llm.internal"])
    def test_a_wrong_entry_is_named(self, allow: str) -> None:
        with pytest.raises(ValueError, match=r"neither a host nor a network|has host bits set"):
            Rules.parse(allow=allow, ports="443", needs_https=True)


def test_an_address_of_an_interface_is_refused() -> None:
    assert list(addresses_of(["1.1.1.1", "1.1.1.1", "::1"])) == [ip_address("1.1.1.1"), ip_address("::1")]
    with pytest.raises(Refused):
        list(addresses_of(["fe80::1%eth0"]))


def test_a_target_of_ipv6_has_brackets_only_where_they_belong() -> None:
    target = Target("http", "::1", 80, "/", ip_address("::1"))
    assert (target.host, target.authority) == ("::1", "[::1]")
