"""Runs in vLLM's own Python: takes the network away, says so, and becomes the program that is named.

    python launch.py PARENT NETWORK STATUS_FILE -m vllm.entrypoints.openai.api_server …

Standard library only: nothing of ours is installed there. The server listens on a Unix socket, which works without any
network; what its processes say to each other goes over the loopback of a namespace that is theirs alone.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_IFF_UP = 1
_CANNOT_ISOLATE = 78


def isolate() -> None:
    """A network namespace with nothing in it but a loopback. Raises `OSError` where the system forbids that."""
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        # whoever may not do that alone may in a user namespace, if the system allows those
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        (flags,) = struct.unpack_from("h", request, 16)
        struct.pack_into("h", request, 16, flags | _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def main() -> None:
    parent, network, status_file, *arguments = sys.argv[1:]
    said = "host"
    if network != "host":
        try:
            isolate()
            said = "none"
        except OSError as error:
            print(f"the network could not be taken away: {error}", flush=True)  # noqa: T201 - the log is all there is
            if network == "none":
                raise SystemExit(_CANNOT_ISOLATE) from error
    # another user namespace may have taken this away
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(parent):
        raise SystemExit(1)
    Path(status_file).write_text(said)
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - replaces itself, without a shell


if __name__ == "__main__":
    main()
