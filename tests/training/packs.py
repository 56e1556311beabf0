"""Small packed files for tests."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pose_format import Pose

from pose_diffusion.clip import encode
from pose_diffusion.training.data import Pack
from tests.poses import constructed_pose


def arrays(sources: Mapping[str, Sequence[Pose]]) -> dict[str, np.ndarray]:
    """What a packed file holds."""
    poses = [(i, pose) for i, clips in enumerate(sources.values()) for pose in clips]
    clips = [encode(pose)[0] for _, pose in poses]
    return {
        "xyz": np.concatenate([clip.xyz for clip in clips]).astype(np.float16),
        "confidence": np.concatenate([np.ceil(clip.confidence * 255) for clip in clips]).astype(np.uint8),
        "lens": np.array([len(clip.xyz) for clip in clips]), "source": np.array([i for i, _ in poses]),
        "fps": np.array([float(pose.body.fps) for _, pose in poses]), "sources": np.array(list(sources)),
    }


def pack(sources: Mapping[str, Sequence[Pose]]) -> Pack:
    """The same in memory."""
    data = arrays(sources)
    starts = np.cumsum(data["lens"]) - data["lens"]
    return Pack(data["xyz"], data["confidence"], starts, data["lens"], data["source"], data["fps"], list(sources))


def write_pack(path: Path, frames: int = 20) -> Path:
    """Constructed people: two sources to train on, one to hold out, one to leave alone."""
    poses = [constructed_pose(frames, seed=seed) for seed in range(8)]
    sources = {name: poses[2 * i:2 * i + 2] for i, name in enumerate(("ann", "bob", "held", "test"))}
    contents: Any = arrays(sources)
    np.savez(path, **contents)
    return path
