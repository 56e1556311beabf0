"""What this machine and this installation have: versions, devices, memory."""
from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("pose-diffusion", "pose-format", "torch", "numpy")
STATM = Path("/proc/self/statm")  # of Linux


def versions() -> dict[str, str]:
    """Of Python, and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # a source tree that was never installed
    return found


def devices() -> list[dict[str, Any]]:
    """What torch can compute on: `{"device", "name", "memory"}`, memory in bytes where it is the device's own."""
    import torch

    found: list[dict[str, Any]] = [{"device": "cpu", "name": platform.processor() or platform.machine(),
                                    "memory": None}]
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        found.append({"device": f"cuda:{i}", "name": properties.name, "memory": properties.total_memory})
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": "Apple GPU", "memory": None})
    return found


def memory() -> dict[str, int]:
    """Bytes that this process holds: of each GPU it has used, and of main memory (`"cpu"`) where that is known."""
    held = {}
    if STATM.exists():
        held["cpu"] = int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if torch := sys.modules.get("torch"):  # not imported for this
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            held |= {f"cuda:{i}": torch.cuda.memory_reserved(i) for i in range(torch.cuda.device_count())}
        if torch.backends.mps.is_available():
            held["mps"] = torch.mps.driver_allocated_memory()
    return held
