"""A lifted file on armatures: arms and legs are in space as in the file, depth included."""
from __future__ import annotations

from pathlib import Path
from types import ModuleType

import bpy
import numpy as np
import pytest
from pose_format import Pose

from blender_addon.animation import keys, obstacles
from blender_addon.animation.strips import join, parts_of
from pose_diffusion.cameras import to_camera
from pose_diffusion.files import write_pose
from pose_diffusion.layout import BODY as MEDIAPIPE
from pose_diffusion.layout import JOINTS
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks.lifted import Lifted, lifted_pose
from tests.poses import constructed_pose, part
from tests.tasks.lifting import camera, own_frame, walker

from .takes import BONES, directions, seen, signer
from .test_strips import result

FRAMES = 12
LIMBS = {"thigh": ("hip", "knee"), "shin": ("knee", "ankle"), "upper_arm": ("shoulder", "elbow"),
         "forearm": ("elbow", "wrist")}
SIDES = {"L": "left", "R": "right"}


@pytest.fixture(autouse=True)
def ready(addon: ModuleType) -> None:
    """Bones point where the points are."""
    bpy.context.scene.pose_diffusion.mode = "follow"
    bpy.context.scene.pose_diffusion.smoothing = 0
    bpy.context.scene.render.fps = 25


def walking() -> np.ndarray:
    """`(1, T, 17, 3)` in the camera's frame, of somebody who walks past and is seen from the side."""
    return to_camera(camera(place=(4., 1.4, .5)), walker(FRAMES)).numpy()


def lifted(xyz: np.ndarray, *, legs: bool = True) -> Pose:
    """What `lift_pose` writes of these bodies; without legs, of somebody whose legs nobody saw, nor guesses well."""
    pose = constructed_pose(FRAMES).get_components([MEDIAPIPE])
    names = next(component.points for component in pose.header.components if component.name == MEDIAPIPE)
    start = part(pose, MEDIAPIPE).start
    for i, name in enumerate(names):
        if not legs and name.endswith(("HIP", "KNEE", "ANKLE")):
            pose.body.confidence[:, :, start + i] = 0
    error = np.full((FRAMES, 17), .01 if legs else .5, np.float32)
    told = Lifted(xyz, xyz[:, :, 0], error, own_frame(camera()), 25.)
    return lifted_pose(pose, told)


def load(pose: Pose, path: Path) -> bpy.types.Object:
    if not bpy.data.armatures:
        signer()
    write_pose(pose, path)
    assert bpy.ops.pose_diffusion.import_pose(filepath=str(path)) == {"FINISHED"}
    return bpy.context.object


def angles(armature: bpy.types.Object, xyz: np.ndarray) -> dict[str, np.ndarray]:
    """Limb to `(T,)` degrees between its bone and the file's joints, in Blender's axes."""
    bones = directions(seen(armature, np.arange(1, FRAMES + 1)))
    names = [bone.name for bone in armature.data.bones]
    out = {}
    for limb, (start, end) in LIMBS.items():
        for side, word in SIDES.items():
            truth = xyz[0, :, BODY.index(f"{word}_{end}")] - xyz[0, :, BODY.index(f"{word}_{start}")]
            truth = truth[:, [0, 2, 1]] * [1, 1, -1] / np.linalg.norm(truth, axis=-1, keepdims=True)
            cosine = (bones[:, names.index(f"{limb}.{side}")] * truth).sum(-1)
            out[f"{limb}.{side}"] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return out


def test_arms_and_legs_follow_in_space(tmp_path: Path) -> None:
    """From the side a picture tells little of the shoulders' width, from which other files are measured."""
    xyz = walking()
    across = xyz[0, :, BODY.index("left_shoulder")] - xyz[0, :, BODY.index("right_shoulder")]
    assert (np.abs(across[:, 2]) > .8 * np.linalg.norm(across, axis=-1)).all()
    armature = load(lifted(xyz), tmp_path / "walk.pose")
    for limb, off in angles(armature, xyz).items():
        assert off.max() < 3, limb
    knee = seen(armature, [1, 4, 8])[:, [bone.name for bone in armature.data.bones].index("shin.L"), :3, 3]
    assert np.ptp(knee, axis=0).max() > .05


def test_knees_bend_as_hinges(tmp_path: Path) -> None:
    """A shin keeps to the plane in which its thigh is rolled: it does not turn about itself."""
    armature = load(lifted(walking()), tmp_path / "walk.pose")
    for side in SIDES:
        bones = [armature.pose.bones[f"{name}.{side}"] for name in ("thigh", "shin")]
        for frame in range(1, FRAMES + 1):
            bpy.context.scene.frame_set(frame)
            thigh, shin = (bone.matrix.to_3x3() for bone in bones)
            assert abs((thigh.inverted() @ shin).to_euler("YXZ").y) < .35


def test_legs_that_were_not_seen_stay(tmp_path: Path) -> None:
    """And those that the take before moved go back to rest."""
    unsure = lifted(walking(), legs=False)
    assert (unsure.body.confidence[:, 0, part(unsure, JOINTS).start + BODY.index("left_knee")] < .2).all()
    armature = load(unsure, tmp_path / "signer.pose")
    assert not any("thigh" in curve.data_path for curve in curves(armature))
    load(lifted(walking()), tmp_path / "walk.pose")
    assert any("thigh" in curve.data_path for curve in curves(armature))
    load(unsure, tmp_path / "signer.pose")
    check_legs_rest(armature)


def check_legs_rest(armature: bpy.types.Object) -> None:
    bpy.context.scene.frame_set(5)
    rotation = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones["thigh.L"].rotation_quaternion
    assert tuple(rotation) == pytest.approx((1, 0, 0, 0), abs=1e-6)


def test_legs_of_joined_strips_go_back_to_rest_as_well(tmp_path: Path) -> None:
    armature = load(lifted(walking()), tmp_path / "walk.pose")
    action, slot = keys.assigned(armature)
    keys.assign(armature, None, None)
    for start in (1, 40):
        strip = armature.animation_data.nla_tracks.new().strips.new("walk", start, action)
        if keys.SLOTTED:
            strip.action_slot = slot
        strip.select = True
    parts = parts_of(bpy.context, armature, BONES)
    join(bpy.context, armature, BONES, parts, result(parts, 4), name="joined")
    for track in armature.animation_data.nla_tracks:
        track.mute = True
    assert any("thigh" in curve.data_path for curve in curves(armature))
    load(lifted(walking(), legs=False), tmp_path / "signer.pose")
    check_legs_rest(armature)


def test_legs_that_an_animator_posed_stay(tmp_path: Path) -> None:
    """Somebody sits: the take of a signer does not make them stand up."""
    armature = load(lifted(walking(), legs=False), tmp_path / "signer.pose")
    thigh = armature.pose.bones["thigh.L"]
    thigh.rotation_quaternion = (.8, .6, 0, 0)
    thigh.keyframe_insert("rotation_quaternion", frame=1)
    load(lifted(walking(), legs=False), tmp_path / "signer.pose")
    assert tuple(thigh.rotation_quaternion) == pytest.approx((.8, .6, 0, 0), abs=1e-6)


def curves(armature: bpy.types.Object) -> list[bpy.types.FCurve]:
    return list(obstacles.all_curves(armature.animation_data.action))
