"""From a camera or a capture to a Pose that can be worked with."""
from __future__ import annotations
