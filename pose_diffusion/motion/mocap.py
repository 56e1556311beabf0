"""Motion capture as motions of the 17 joints of layout `body`.

The two sources share takes: `TWINS` of `cmu_joints.npz` are takes of which the folder of BVH files has the same people,
partly the very same seconds, on another skeleton. So takes carry their subject, and a split has to go by it.
"""
from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pose_diffusion.files import PoseFileError
from pose_diffusion.motion.bvh import Bvh, joint_positions, read_bvh
from pose_diffusion.motion.combinations import Combination, combine
from pose_diffusion.motion.mocap_skeletons import FROM_CC, FROM_CMU_38
from pose_diffusion.motion.motion import Motion
from pose_diffusion.motion.skeletons import BODY

FASTEST = 10.  # metres a second, of a joint around the pelvis; a football is kicked with 9. What is faster is a defect
AROUND = .1  # seconds left out on either side of a defect
TUMBLING = (20., 40.)  # degrees from the vertical: of all kicks and jumps of the archive none leans farther than 36
SHORTEST = 1.  # seconds; what is shorter, such as the rest between two defects, is left out

# Takes of cmu_joints.npz whose subject in CMU's database is known: found by comparing the angles of elbows and knees
# with the BVH files (walking_1 is 02_01, walking_2 is 05_01, walking_4 is 07_01, basketball_1, _3 and _5 are 06_02, _04
# and _06, frame by frame), the others of each series by the order of the database. A subject of which nothing is known
# is called after the series.
TWINS = {"walking_1": 2, "walking_2": 5, "walking_3": 6, "walking_4": 7, "walking_5": 7,
         **{f"basketball_{i}": 6 for i in range(1, 6)}}


@dataclass(frozen=True)
class Take:
    """A take of one person.

    Attributes
    ----------
    name : str
        Of the file, with ``:start`` in frames where a part of it was left out.
    subject : str
        Who moves: ``"cmu_06"``, or a series of takes of whom is not known.
    motion : Motion
        The joints of `BODY`.
    placed : bool
        Whether the body moves through the world, over a ground at y = 0. If not, the pelvis stands still at the origin.
    """

    name: str
    subject: str
    motion: Motion
    placed: bool


def body_motion(bvh: Bvh, *, metres: float = .01, up: str = "y", absolute: bool = False) -> Motion:
    """The 17 joints of `body` in a BVH file of a known skeleton.

    Parameters
    ----------
    bvh : Bvh
        Its joints have the names of CMU's 38 joints or of Character Creator.
    metres : float
        One unit of the file: .01 for centimetres.
    up : str
        ``"y"`` or ``"z"``: the axis of the file that points up.
    absolute : bool
        As of `joint_positions`.

    Raises
    ------
    ValueError
        If the skeleton is none of those, or for a unit or an axis that is none.
    """
    if up not in ("y", "z") or not 0 < metres < math.inf:
        raise ValueError(f"no axis {up!r} or unit of {metres} metres: give up as y or z, and metres above 0")
    known = next((known for known in (FROM_CMU_38, FROM_CC) if not _missing(known, bvh)), None)
    if known is None:
        lacking = min((_missing(known, bvh) for known in (FROM_CMU_38, FROM_CC)), key=len)
        raise ValueError(f"unknown skeleton: of the one most like it the joints {', '.join(lacking[:5])} are missing; "
                         "CMU's 38 joints and Character Creator's are known")
    xyz = joint_positions(bvh, absolute=absolute)[:, [bvh.names.index(name) for name in known.source]] * metres
    if up == "z":
        xyz = xyz[..., [0, 2, 1]] * (1, 1, -1)
    return _body(known, xyz, 1 / bvh.frame_time)


def _missing(known: Combination, bvh: Bvh) -> list[str]:
    there = set(bvh.names)
    return [name for name, used in zip(known.source, known.weights.any(axis=0)) if used and name not in there]


def _body(known: Combination, xyz: np.ndarray, fps: float) -> Motion:
    points, _ = combine(known, xyz)
    return Motion(BODY.joints, BODY.parents, points.astype(np.float32), fps)


def cmu_bvh(path: str | os.PathLike[str]) -> list[Take]:
    """A take of the folder of BVH files, without its defects.

    Parameters
    ----------
    path : str or path
        A file `<subject>_<take>.bvh`, in centimetres, y up.

    Returns
    -------
    list of Take
        The stretches without defects, in order; there may be none.

    Raises
    ------
    PoseFileError
        If the file cannot be read or its skeleton is unknown.
    """
    path = Path(path)
    bvh = read_bvh(path)
    # The files give 1/60 second in six decimals.
    bvh = replace(bvh, frame_time=1 / round(1 / bvh.frame_time, 2))
    try:
        motion = body_motion(bvh)
    except ValueError as error:
        raise PoseFileError(path, error) from error
    number = re.match(r"(\d+)_", path.name)
    subject = f"cmu_{int(number[1]):02d}" if number else path.stem
    return list(sound(Take(path.stem, subject, motion, placed=True)))


def cmu_joints(path: str | os.PathLike[str]) -> list[Take]:
    """The takes of an archive of joint positions, without their defects.

    Parameters
    ----------
    path : str or path
        An `.npz` with `xyz` ``(N, 38, 3)`` in metres about the hips, y up, `joints`, `lens`, `files` and `fps`.

    Returns
    -------
    list of Take
        In the order of the file. None is placed: the way through the world was not kept.

    Raises
    ------
    PoseFileError
        If the file cannot be read or is of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            xyz, joints, lens = data["xyz"], data["joints"].tolist(), data["lens"].astype(np.int64)
            names, fps = [Path(name).stem for name in data["files"].tolist()], float(data["fps"])
    except FileNotFoundError as error:
        raise PoseFileError(path, "there is no such file: name the folder that has it") from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise PoseFileError(path, f"it is no archive of joints ({error}): give cmu_joints.npz") from error
    if sorted(joints) != sorted(FROM_CMU_38.source) or xyz.shape != (lens.sum(), len(joints), 3) \
            or len(names) != len(lens) or not (lens > 0).all() or not 0 < fps < math.inf:
        raise PoseFileError(path, "its joints or its sizes are not those of the archive: give cmu_joints.npz")
    xyz = xyz[:, [joints.index(name) for name in FROM_CMU_38.source]].astype(np.float32)
    takes: list[Take] = []
    for name, rows in zip(names, np.split(xyz, np.cumsum(lens)[:-1])):
        motion = _body(FROM_CMU_38, rows, fps)
        motion = replace(motion, xyz=motion.xyz - motion.xyz[:, :1])
        number = TWINS.get(name)
        subject = f"cmu_{number:02d}" if number is not None else re.sub(r"_\d+$", "", name)
        takes += sound(Take(name, subject, motion, placed=False))
    return takes


def sound(take: Take) -> Iterator[Take]:
    """The stretches of a take in which the body does what bodies can do.

    Rotations of mocap flip: a knee, or the whole body, is somewhere else for some frames. Where a joint moves faster
    than 10 m/s around the pelvis, or the pelvis itself, .1 s on either side are left out. Takes not placed have
    another defect: where a person turns round, the rotation of the whole body was interpolated the wrong way, and it
    tumbles head over heels. Such stretches are left out from where they lean more than 20 degrees. So is what remains
    of less than 1 s.

    Yields
    ------
    Take
        In order; the take itself where all is sound.
    """
    motion = take.motion
    around = motion.xyz - motion.xyz[:, :1]
    around[:, 0] = motion.xyz[:, 0]
    speed = np.linalg.norm(np.diff(around, axis=0), axis=-1).max(axis=-1, initial=0) * motion.fps
    bad = np.zeros(len(motion), bool) if take.placed else _tumbling(motion)
    reach = round(AROUND * motion.fps)
    for frame in np.flatnonzero(speed > FASTEST):
        bad[max(0, frame + 1 - reach):frame + 1 + reach] = True
    for start, stop in _runs(~bad):
        if stop - start >= SHORTEST * motion.fps:
            name = take.name if stop - start == len(motion) else f"{take.name}:{start}"
            yield replace(take, name=name, motion=replace(motion, xyz=motion.xyz[start:stop]))


def _tumbling(motion: Motion) -> np.ndarray:
    """`(T,)` bool: the frames of leaning more than 20 degrees around one of leaning more than 40."""
    xyz = motion.xyz
    ankles = xyz[:, [BODY.index("left_ankle"), BODY.index("right_ankle")]]
    standing = ankles[np.arange(len(xyz)), ankles[..., 1].argmin(axis=1)]
    upwards = xyz[:, BODY.index("thorax")] - standing
    lean = np.degrees(np.arccos(upwards[:, 1] / np.maximum(np.linalg.norm(upwards, axis=1), 1e-6)))
    tumbling = np.zeros(len(xyz), bool)
    for start, stop in _runs(lean > TUMBLING[0]):
        tumbling[start:stop] = lean[start:stop].max() > TUMBLING[1]
    return tumbling


def _runs(mask: np.ndarray) -> np.ndarray:
    """`(n, 2)`: start and stop of each run of True."""
    return np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int))).reshape(-1, 2)
