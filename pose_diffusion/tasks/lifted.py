"""What lifting gives: bodies in 3D, as a `.pose` and as arrays in a file."""
from __future__ import annotations

import copy
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from pose_diffusion.cameras import NEAR, Camera, project
from pose_diffusion.clip import numpy_pose
from pose_diffusion.files import atomic
from pose_diffusion.layout import BODY, FACE, JOINTS, LEFT_HAND, RIGHT_HAND, WORLD, header_positions
from pose_diffusion.motion.combinations import MEDIAPIPE_33, TO_MEDIAPIPE, combine
from pose_diffusion.motion.skeletons import BODY as SKELETON
from pose_diffusion.tasks.detections import joints_of, picture_size
from pose_diffusion.tasks.refine import invented_confidence

DEEPER = .2  # picture widths of depth per unit of the z of MediaPipe's body, in signing clips: what readers expect
SHOULDERS = .36  # metres: an adult's shoulders are so far apart
_CHAINS = (("LEFT_SHOULDER", "RIGHT_SHOULDER"), ("LEFT_HIP", "RIGHT_HIP"),
           *((f"{side}_{a}", f"{side}_{b}") for side in ("LEFT", "RIGHT")
             for a, b in (("SHOULDER", "ELBOW"), ("ELBOW", "WRIST"), ("SHOULDER", "HIP"), ("HIP", "KNEE"),
                          ("KNEE", "ANKLE"))))  # yapf: disable
TO_MEDIAPIPE_LIMBS = tuple((MEDIAPIPE_33.index(a), MEDIAPIPE_33.index(b)) for a, b in _CHAINS)


@dataclass(frozen=True)
class Lifted:
    """Bodies that agree with what was seen; H hypotheses of T frames.

    Attributes
    ----------
    xyz : np.ndarray
        ``(H, T, 17, 3)`` float32: the joints of `BODY` in the camera's frame (x to the right, y down, z away from it),
        metres.
    root : np.ndarray
        ``(H, T, 3)``: the pelvis.
    error : np.ndarray
        ``(T, 17)``: how far from the truth, relative to the pelvis, the network expects its mean to be; metres.
    camera : Camera
        Of the first view, in its own frame; batch 1 if it was given, else H.
    fps : float
        Frames a second.
    """

    xyz: np.ndarray
    root: np.ndarray
    error: np.ndarray
    camera: Camera
    fps: float

    @property
    def seconds(self) -> np.ndarray:
        """``(T,)``: the time of each frame from the first."""
        return np.arange(self.xyz.shape[1]) / self.fps


def joined(parts: Sequence[Lifted]) -> Lifted:
    """The hypotheses of several, one after the other, of the same frames and view."""
    if len(parts) == 1:
        return parts[0]
    error = np.average([part.error for part in parts], axis=0, weights=[len(part.xyz) for part in parts])
    camera = parts[0].camera
    if not all(torch.equal(part.camera.focal, camera.focal) for part in parts):  # each hypothesis found its own
        camera = replace(camera, **{name: torch.cat([getattr(part.camera, name) for part in parts])
                                    for name, value in vars(camera).items() if value is not None})
    return replace(parts[0], xyz=np.concatenate([part.xyz for part in parts]), camera=camera,
                   root=np.concatenate([part.root for part in parts]), error=error.astype(np.float32))


def lifted_pose(pose: Pose, lifted: Lifted, hypothesis: int = 0, person: int = 0) -> Pose:
    """A hypothesis as a Pose.

    Its components are

    - `POSE_WORLD_LANDMARKS`: MediaPipe's points of the body in metres from the middle of the hips, in the camera's axes
      (x to the right, y down, z away), as MediaPipe's own world landmarks;
    - `POSE_LANDMARKS`: the same body in the picture, x and y in pixels, z from the hips in the unit of MediaPipe's (a
      fifth of the picture's width), which is what tools for MediaPipe's files read;
    - `BODY_17`: the joints of the body in metres in the camera's frame, so with the way through the room;
    - hands and face of a MediaPipe pose, as they were.

    Only shoulders, elbows, wrists, hips, knees and ankles are told of the first two; of a MediaPipe pose the points of
    the head are added to the second one, in front of or behind the shoulders by MediaPipe's z.

    Parameters
    ----------
    pose : Pose
        What was lifted.
    lifted : Lifted
        What `lift` made of it.
    hypothesis, person : int
        Which one, and of which person.

    Returns
    -------
    Pose
        New; one person. Confidence is that of the detected joints; that of invented ones is between .05 and .95.

    Raises
    ------
    ValueError
        If there is no such hypothesis, or the pose has other frames.
    """
    pose = numpy_pose(pose)
    if not 0 <= hypothesis < len(lifted.xyz):
        raise ValueError(f"there is no hypothesis {hypothesis}: there are {len(lifted.xyz)}, counted from 0")
    if len(pose.body.data) != lifted.xyz.shape[1]:
        raise ValueError(f"{lifted.xyz.shape[1]} frames were lifted, the pose has {len(pose.body.data)}")
    body, detected = lifted.xyz[hypothesis], joints_of(pose, person)[1]
    sure = np.where(detected > 0, detected, invented_confidence(lifted.error / SHOULDERS))
    world, told = combine(TO_MEDIAPIPE, body - lifted.root[hypothesis][:, None], sure)
    size = picture_size(pose)
    flat = _picture(lifted, hypothesis, size[0])
    picture, _ = combine(TO_MEDIAPIPE, flat, sure)
    pixels, seen = _with_head(pose, person, picture, told, size[0])
    parts = [(component(BODY, MEDIAPIPE_33, TO_MEDIAPIPE_LIMBS), pixels, seen)]
    parts += _others(pose, person)
    parts += [(component(WORLD, MEDIAPIPE_33, TO_MEDIAPIPE_LIMBS), world, told),
              (component(JOINTS, SKELETON.joints, SKELETON.bones), body, sure)]
    width, height = (math.ceil(edge) for edge in size)
    header = PoseHeader(pose.header.version, PoseHeaderDimensions(width, height, 0), [part for part, _, _ in parts])
    data = np.concatenate([values for _, values, _ in parts], axis=1)[:, None].astype(np.float32)
    confidence = np.concatenate([values for _, _, values in parts], axis=1)[:, None].astype(np.float32)
    masked: np.ma.MaskedArray = np.ma.masked_array(data, mask=np.repeat(confidence[..., None] == 0, 3, axis=-1))
    return Pose(header, NumPyPoseBody(pose.body.fps, masked, confidence))


def _picture(lifted: Lifted, hypothesis: int, width: float) -> np.ndarray:
    """``(T, 17, 3)``: pixels, and depth behind the pelvis as MediaPipe's z, at the scale of the pelvis."""
    camera = lifted.camera
    rows = slice(hypothesis, hypothesis + 1) if len(camera.focal) > 1 else slice(0, 1)
    one = replace(camera, **{name: value[rows if len(value) > 1 else slice(None)].cpu()
                             for name, value in vars(camera).items() if value is not None})
    body = lifted.xyz[hypothesis]
    pixels = project(one, torch.from_numpy(body)[None])[0].numpy()
    scale = float(one.focal.mean()) / lifted.root[hypothesis][:, None, 2:].clip(NEAR)
    depth = (body - lifted.root[hypothesis][:, None])[..., 2:] * scale / (DEEPER * width)
    return np.concatenate([pixels, depth], axis=-1)


def _with_head(pose: Pose, person: int, picture: np.ndarray, told: np.ndarray, width: float
               ) -> tuple[np.ndarray, np.ndarray]:
    """The points of MediaPipe's body that lifting does not tell, as they were, their z from the shoulders' on."""
    place = header_positions(pose.header)
    columns = np.array([place.get((BODY, point), -1) for point in MEDIAPIPE_33])
    data = np.ma.getdata(pose.body.data)[:, person]
    if (columns < 0).all() or data.shape[-1] < 3:
        return picture, told
    there = ~np.ma.getmaskarray(pose.body.data)[:, person].any(-1)[:, columns] & (columns >= 0)
    confidence = np.where(there, np.asarray(pose.body.confidence)[:, person][:, columns], 0)
    shoulders = [MEDIAPIPE_33.index(f"{side}_SHOULDER") for side in ("LEFT", "RIGHT")]
    both = (confidence[:, shoulders] > 0).all(1)
    own = data[:, columns].astype(np.float32)
    own[..., 2] += (picture[:, shoulders, 2] - own[:, shoulders, 2]).mean(1, keepdims=True)
    added = ~TO_MEDIAPIPE.available & (confidence > 0) & both[:, None]
    added[:, [i for i, name in enumerate(MEDIAPIPE_33) if "HEEL" in name or "FOOT" in name]] = False
    return np.where(added[..., None], own, picture), np.where(added, confidence, told)


def _others(pose: Pose, person: int) -> list[tuple[PoseHeaderComponent, np.ndarray, np.ndarray]]:
    """Hands and face of a MediaPipe pose."""
    out, start = [], 0
    for part in pose.header.components:
        columns = slice(start, start := start + len(part.points))
        if part.name in (LEFT_HAND, RIGHT_HAND, FACE) and pose.body.data.shape[-1] == 3:
            hidden = np.ma.getmaskarray(pose.body.data)[:, person, columns].any(-1)
            values = np.ma.getdata(pose.body.data)[:, person, columns]
            confidence = np.where(hidden, 0, np.asarray(pose.body.confidence)[:, person, columns])
            out.append((copy.deepcopy(part), np.where(confidence[..., None] > 0, values, 0), confidence))
    return out


def component(name: str, points: Sequence[str], limbs: Sequence[tuple[int, int]]) -> PoseHeaderComponent:
    """A component; its limbs are blue on the left and red on the right."""
    colours = []
    for _, end in limbs:
        side = points[end].lower()
        colours.append((40, 90, 220) if side.startswith("left") else (220, 60, 40) if side.startswith("right") else
                       (110, 110, 110))
    return PoseHeaderComponent(name, list(points), [tuple(limb) for limb in limbs], colours, "XYZC")


def save_lifted(lifted: Lifted, path: str | os.PathLike[str]) -> None:
    """Write all hypotheses as `.npz`, whole or not at all.

    Its arrays: `xyz` (H, T, 17, 3), `root` (H, T, 3) and `error` (T, 17) in metres as of `Lifted`, `joints` and
    `parents`, `fps`, and of the camera `focal` and `centre` (1 or H, 2) and `size` (2,), pixels, and `distortion`.

    Raises
    ------
    PoseFileError
        If it cannot be written.
    """
    camera = lifted.camera
    lens = camera.distortion if camera.distortion is not None else torch.zeros(1, 5)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, xyz=lifted.xyz, root=lifted.root, error=lifted.error, fps=np.float64(lifted.fps),
                            joints=np.array(SKELETON.joints), parents=np.array(SKELETON.parents),
                            focal=camera.focal.cpu().numpy(), centre=camera.centre.cpu().numpy(),
                            size=camera.size[0].cpu().numpy(), distortion=lens.cpu().numpy())
