import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers

from api.client_address import ClientAddresses, kept_address
from core.config import Settings


def address(peer: str | None, forwarded: list[str], trusted: str = "") -> str:
    headers = Headers(raw=[(b"x-forwarded-for", value.encode()) for value in forwarded])
    return ClientAddresses(trusted).of({"client": (peer, 1) if peer else None}, headers)


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        # nobody is believed unless trusted
        ("203.0.113.9", ["1.2.3.4"], "", "203.0.113.9"),
        ("203.0.113.9", ["1.2.3.4"], "10.0.0.0/8", "203.0.113.9"),
        ("127.0.0.1", ["1.2.3.4"], "", "127.0.0.1"),
        ("10.1.1.1", ["1.2.3.4"], "10.0.0.0/8", "1.2.3.4"),
        ("10.1.1.1", [], "10.0.0.0/8", "10.1.1.1"),
        # the leftmost is what the client made up
        ("10.1.1.1", ["6.6.6.6, 1.2.3.4"], "10.0.0.0/8", "1.2.3.4"),
        ("10.1.1.1", ["6.6.6.6", "1.2.3.4, 10.2.2.2"], "10.0.0.0/8", "1.2.3.4"),
        ("10.1.1.1", ["10.3.3.3, 10.2.2.2"], "10.0.0.0/8", "10.3.3.3"),
        # what is no address ends the walk
        ("10.1.1.1", ["1.2.3.4, nonsense"], "10.0.0.0/8", "10.1.1.1"),
        ("10.1.1.1", ["nonsense, 1.2.3.4"], "10.0.0.0/8", "1.2.3.4"),
        ("10.1.1.1", ["1.2.3.4:5678"], "10.0.0.0/8", "1.2.3.4"),
        ("10.1.1.1", ["[2001:db8::1]:99"], "10.0.0.0/8", "2001:db8::1"),
        ("::ffff:10.1.1.1", ["2001:DB8::0001"], "10.0.0.0/8", "2001:db8::1"),
        ("2001:db8::5", ["1.2.3.4"], "2001:db8::/32, 10.0.0.1", "1.2.3.4"),
        ("testclient", ["1.2.3.4"], "0.0.0.0/0", "unknown"),
        (None, ["1.2.3.4"], "0.0.0.0/0", "unknown"),
    ],
)
def test_the_client_is_who_connects_unless_that_is_a_proxy_of_ours(
    peer: str | None, forwarded: list[str], trusted: str, found: str
) -> None:
    assert address(peer, forwarded, trusted) == found


def test_a_wrong_setting_is_an_error_at_the_start() -> None:
    with pytest.raises(ValidationError, match="my-proxy"):
        Settings(trusted_proxies="10.0.0.0/8, my-proxy")


def test_a_network_is_kept_instead_of_an_address() -> None:
    assert kept_address("2001:db8:1:2:3::4", "network") == "2001:db8:1::/48"
    assert kept_address("unknown", "full") is None
