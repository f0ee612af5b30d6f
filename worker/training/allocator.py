"""Keeps freed memory in the process.

By default glibc gives big blocks back to the system and asks for them again at every layer; on virtual machines each
fresh page is slow to arrive, and training lost a fifth of its time to it (measured).
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 30  # glibc takes an int; blocks below this come from the heap, which is never trimmed


def keep_freed_memory() -> None:
    if sys.platform != "linux":
        return
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "mallopt"):  # musl has none
        c_library.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        c_library.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
