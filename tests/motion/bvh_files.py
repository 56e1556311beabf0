"""BVH files for tests: random skeletons, and a writer of them."""
from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pose_diffusion.motion.bvh import CHANNELS, Bvh

ROTATIONS = [name for name in CHANNELS if name.endswith("rotation")]
POSITIONS = [name for name in CHANNELS if name.endswith("position")]


@st.composite
def bvhs(draw: st.DrawFn, most: int = 7) -> Bvh:
    """A skeleton of one or two roots, each joint with any channels in any order, moving at random."""
    count = draw(st.integers(1, most))
    parents = [-1, *(draw(st.integers(-1 if i == 1 else 0, i - 1)) for i in range(1, count))]
    order = _depth_first(parents)
    parents = [-1 if parents[old] < 0 else order.index(parents[old]) for old in order]
    names: list[str] = []
    ends: list[bool] = []
    channels: list[tuple[str, ...]] = []
    for joint, parent in enumerate(parents):
        leaf = parent >= 0 and joint not in parents
        end = leaf and not any(e and p == parent for e, p in zip(ends, parents)) and draw(st.booleans())
        ends.append(end)
        names.append(f"{names[parent]} end" if end else f"joint {joint}" if joint % 2 else f"J{joint}")
        some = draw(st.permutations(list(CHANNELS)))
        channels.append(() if end else tuple(some[:draw(st.integers(0, 6))]))
    if not any(channels):
        channels[0] = ("zrotation",)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frames = draw(st.integers(1, 4))
    values = random.uniform(-180, 180, (frames, sum(map(len, channels)))).round(6)
    offsets = random.uniform(-10, 10, (count, 3)).round(6)
    return Bvh(tuple(names), tuple(parents), tuple(ends), offsets, tuple(channels), values, 1 / 32)


def _depth_first(parents: list[int]) -> list[int]:
    """The joints in the order in which a file names them."""
    order: list[int] = []
    waiting = [i for i, parent in enumerate(parents) if parent < 0][::-1]
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += [i for i, parent in enumerate(parents) if parent == joint][::-1]
    return order


def text(bvh: Bvh, *, upper: bool = False, line_end: str = "\n", indent: str = "\t", wrapped: bool = False) -> str:
    """A file of it; `wrapped` puts every number on a line of its own."""
    lines = ["HIERARCHY"]
    open_joints: list[int] = []
    for joint, parent in enumerate(bvh.parents):
        while open_joints and open_joints[-1] != parent:
            open_joints.pop()
            lines.append(indent * len(open_joints) + "}")
        pad = indent * len(open_joints)
        kind = "End Site" if bvh.ends[joint] else f"{'ROOT' if parent < 0 else 'JOINT'} {bvh.names[joint]}"
        lines += [pad + kind, pad + "{", pad + indent + "OFFSET " + " ".join(f"{v:.6f}" for v in bvh.offsets[joint])]
        if not bvh.ends[joint]:
            shown = [name if upper else name[0].upper() + name[1:] for name in bvh.channels[joint]]
            lines.append(pad + indent + " ".join(["CHANNELS", str(len(shown)), *shown]))
        open_joints.append(joint)
    while open_joints:
        open_joints.pop()
        lines.append(indent * len(open_joints) + "}")
    lines += ["MOTION", f"Frames: {len(bvh.values)}", f"Frame Time: {bvh.frame_time:.6f}"]
    between = line_end if wrapped else " "
    lines += [between.join(f"{value:.6f}" for value in frame) for frame in bvh.values]
    return line_end.join(lines) + line_end
