"""The most memory that a run has held, to compare with what was predicted."""

import resource

import torch


def peak_bytes(device: str) -> int:
    """On a card what the allocator has reserved there; on a processor the resident size of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_reserved(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
