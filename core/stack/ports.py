"""Which TCP ports the embedded servers use: chosen once per home, kept as long as they stay free."""

import random
import socket

from core.errors import Unavailable

HOST = "127.0.0.1"
# below the range from which Linux and macOS take the ports of outgoing connections
_FIRST, _LAST = 20_000, 32_000
_MAX_TRIES = 500


def is_free(port: int, host: str = HOST) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose(names: list[str], remembered: dict[str, int]) -> dict[str, int]:
    """A free port for each name: the remembered one where it is still free, else a new one."""
    chosen: dict[str, int] = {}
    for name in names:
        port = remembered.get(name)
        if port is None or port in chosen.values() or not is_free(port):
            port = _draw({*remembered.values(), *chosen.values()})
        chosen[name] = port
    return chosen


def _draw(taken: set[int]) -> int:
    for _ in range(_MAX_TRIES):
        port = random.randrange(_FIRST, _LAST)
        if port not in taken and is_free(port):
            return port
    raise Unavailable(
        f"No free TCP port was found between {_FIRST} and {_LAST} on {HOST}; stop something that listens there.",
        code="no_free_port",
    )
