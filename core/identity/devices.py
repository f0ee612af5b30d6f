"""A browser in a few words, such as "Firefox on Windows", from what it says of itself."""

import re

_UNKNOWN = "An unknown device"
# the first that is found counts: nearly all of them also claim to be Safari, and many to be Chrome
_BROWSERS = (
    (re.compile(r"\bEdg(e|A|iOS)?/"), "Edge"),
    (re.compile(r"\b(OPR|Opera)/"), "Opera"),
    (re.compile(r"\bSamsungBrowser/"), "Samsung Internet"),
    (re.compile(r"\b(Firefox|FxiOS)/"), "Firefox"),
    (re.compile(r"\b(Chrome|CriOS|Chromium|HeadlessChrome)/"), "Chrome"),
    (re.compile(r"\bVersion/.*Safari/"), "Safari"),
    (re.compile(r"\b(python-httpx|python-requests|curl|openai)\b", re.IGNORECASE), "A program"),
)
_SYSTEMS = (
    (re.compile(r"\bWindows\b"), "Windows"),
    (re.compile(r"\b(iPhone|iPod)\b"), "iPhone"),
    (re.compile(r"\biPad\b"), "iPad"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bMac OS X\b|\bMacintosh\b"), "Mac"),
    (re.compile(r"\bLinux\b"), "Linux"),
)


def device_of(user_agent: str | None) -> str:
    browser = next((name for pattern, name in _BROWSERS if pattern.search(user_agent or "")), None)
    system = next((name for pattern, name in _SYSTEMS if pattern.search(user_agent or "")), None)
    match browser, system:
        case None, None:
            return _UNKNOWN
        case None, name:
            return f"A browser on {name}"
        case name, None:
            return str(name)
    return f"{browser} on {system}"
