"""The task functions for another process, such as Blender: JSON lines in, JSON lines and `.pose` files out.

`python -m pose_diffusion.worker` starts it; docs/worker.md describes what it is sent and what it answers.
"""
from __future__ import annotations

PROTOCOL = 1  # raised when an older program would no longer understand the worker, or the worker it
