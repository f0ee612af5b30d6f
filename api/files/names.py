"""The name of a download."""

from urllib.parse import quote


def attachment(filename: str) -> str:
    """RFC 6266: a name that any client reads, and the real one for those that know how to."""
    plain = "".join(char if char.isascii() and char not in '"\\' else "_" for char in filename)
    real = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{real}'
