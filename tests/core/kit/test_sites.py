import pytest

from core.kit.sites import site_of


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("unknown", None),
        ("", None),
    ],
)
def test_whom_an_address_stands_for(address: str, site: str | None) -> None:
    assert site_of(address) == site
