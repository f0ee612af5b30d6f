import pytest

from core.identity.devices import device_of

_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (f"{_WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36", "Chrome on Windows"),
        (f"{_WINDOWS} AppleWebKit/537.36 Chrome/124.0 Safari/537.36 Edg/124.0", "Edge on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0", "Firefox on Linux"),
        (f"{_MAC} Version/17.4 Safari/605.1.15", "Safari on Mac"),
        (f"{_IPHONE} Version/17.4 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (f"{_IPHONE} CriOS/124.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/124.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Linux; Android 13) SamsungBrowser/24.0 Chrome/117.0 Mobile", "Samsung Internet on Android"),
        ("Mozilla/5.0 (Windows NT 10.0) Odd/1.0", "A browser on Windows"),
        ("python-httpx/0.28.1", "A program"),
        ("", "An unknown device"),
        (None, "An unknown device"),
    ],
)
def test_a_browser_is_named_as_people_name_it(user_agent: str | None, words: str) -> None:
    assert device_of(user_agent) == words
