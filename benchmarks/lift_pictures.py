"""The pictures of docs/lift.md: takes of motion capture that were never trained on, lifted, and a signer.

python benchmarks/lift_pictures.py --data ../shared/data --out docs/images

`--data` has `mocap/cmu_joints.npz` and `bvh/cmu/*.bvh`. Needs the extras `preview`, `train` (the lexicon of
spoken-to-signed) and, for `--blender`, `blender`.
"""
from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import spoken_to_signed
import torch
from PIL import Image, ImageDraw, ImageFont, ImageSequence
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
from torch import Tensor

from pose_diffusion.cameras import Camera, looking, project
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.layout import BODY as MEDIAPIPE
from pose_diffusion.motion.augmentation import with_lengths
from pose_diffusion.motion.combinations import MEDIAPIPE_33, TO_MEDIAPIPE, combine
from pose_diffusion.motion.mocap import Take
from pose_diffusion.motion.motion import resample
from pose_diffusion.motion.skeletons import BODY, adult_lengths
from pose_diffusion.preview_turntable import LABEL, save_lift_preview
from pose_diffusion.tasks.lift import lift, load_body_model
from pose_diffusion.tasks.lifted import Lifted, component, lifted_pose
from pose_diffusion.training.mocap import split, takes

os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp())

FPS, SIZE, FOCAL, NOISE = 25., (1280., 720.), 1100., 3.
SIGNER = Path(spoken_to_signed.__file__).parent / "assets" / "fingerspelling_lexicon" / "ase"
HIDDEN = ("LEFT_ELBOW", "LEFT_WRIST")
FAN, EDGE = 12, 300  # hypotheses, and pixels of a picture
STRIP, TALL = 4, (230, 380)  # pictures from Blender, and their size


@dataclass(frozen=True)
class Shot:
    """What is filmed: a test take, from a second on, for so many seconds; the camera's angle from the front."""

    take: str
    start: float
    seconds: float
    angle: float


KICK, REACH = Shot("soccer_5", 0, 4.7, 30), Shot("soccer_5", 2, 2.2, 30)


def main() -> None:
    """Make them all, or some."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the motion capture")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--model", type=Path, help="another model of bodies than that of the package")
    parser.add_argument("--blender", action="store_true", help="the picture from Blender, and it alone")
    args = parser.parse_args()
    model = load_body_model(args.model)
    test = split(takes(args.data)).test
    if args.blender:
        kick = filmed(test, KICK)
        in_blender(lifted_pose(kick, lift(kick, model=model)), args.out / "lift_blender.jpg")
        os._exit(0)  # bpy may crash when Python ends
    whole = filmed(test, KICK)
    save_lift_preview(whole, lift(whole, hypotheses=6, model=model), args.out / "lift_motion.gif", size=330)
    signer = read_pose(sorted(SIGNER.glob("*.pose"))[0])
    save_lift_preview(signer, lift(signer, hypotheses=6, model=model), args.out / "lift_signer.gif", size=300)
    arm_seen_and_hidden(filmed(test, REACH), model).save(args.out / "lift_hidden_arm.png", optimize=True)


def filmed(test: Sequence[Take], shot: Shot) -> Pose:
    """A take on an adult's body as MediaPipe would see it through a camera on a tripod, but for the head."""
    take = next(take for take in test if take.name.split(":")[0] == shot.take)
    xyz = torch.from_numpy(np.asarray(resample(take.motion, FPS).xyz, np.float32))
    part = slice(round(shot.start * FPS), round((shot.start + shot.seconds) * FPS))
    body = with_lengths(xyz[None, part], torch.from_numpy(adult_lengths())[None])
    pixels = project(_tripod(body, shot.angle), body)[0].numpy()
    pixels = pixels + np.random.default_rng(0).normal(0, NOISE, pixels.shape)
    points, confidence = combine(TO_MEDIAPIPE, pixels)
    data = np.concatenate([points, 0 * points[..., :1]], axis=-1)[:, None].astype(np.float32)
    header = PoseHeader(.2, PoseHeaderDimensions(*map(int, SIZE), 0), [component(MEDIAPIPE, MEDIAPIPE_33, ())])
    return Pose(header, NumPyPoseBody(FPS, data, confidence[:, None].astype(np.float32)))


def _tripod(body: Tensor, angle: float) -> Camera:
    """A camera 1.5 m high that looks at the middle of the way, `angle` degrees aside of where the body looks first."""
    at, hips = body[0, :, 0], body[0, 0, BODY.index("left_hip")] - body[0, 0, BODY.index("right_hip")]
    ahead = math.atan2(float(hips[0]), float(-hips[2])) + math.radians(angle)
    middle = (at.amin(0) + at.amax(0)) / 2
    away = 4.2 + float((at.amax(0) - at.amin(0)).norm())
    low = float(body[..., 1].min())
    place = torch.tensor([[float(middle[0]) + away * math.cos(ahead), low + 1.5,
                           float(middle[2]) + away * math.sin(ahead)]])
    rotation = looking(place, middle[None])
    return Camera(torch.full((1, 2), FOCAL), torch.tensor([SIZE]) / 2, rotation,
                  -(rotation @ place[..., None])[..., 0], torch.tensor([SIZE]))


def arm_seen_and_hidden(whole: Pose, model: PoseDiffusion) -> Image.Image:
    """Above, all is seen; below, an arm is not."""
    rows = []
    for hidden in (False, True):
        confidence = np.array(whole.body.confidence)
        if hidden:
            confidence[:, :, [MEDIAPIPE_33.index(point) for point in HIDDEN]] = 0
        pose = Pose(whole.header, NumPyPoseBody(FPS, np.ma.getdata(whole.body.data), confidence))
        lifted = lift(pose, hypotheses=FAN, model=model)
        middle = slice(len(confidence) // 2, len(confidence) // 2 + 1)
        one = replace(lifted, xyz=lifted.xyz[:, middle], root=lifted.root[:, middle])
        still = Pose(whole.header, NumPyPoseBody(FPS, np.ma.getdata(whole.body.data)[middle], confidence[middle]))
        rows.append(_row(still, one, "an arm is hidden" if hidden else "all joints are seen"))
    out = Image.new("RGB", (rows[0].width, 2 * rows[0].height), "white")
    for i, row in enumerate(rows):
        out.paste(row, (0, i * row.height))
    return out


def _row(pose: Pose, lifted: Lifted, title: str) -> Image.Image:
    """Of one frame: the picture, and the hypotheses from the camera and from the side."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "still.gif"
        save_lift_preview(pose, lifted, path, shown=FAN, size=EDGE)
        with Image.open(path) as pages:
            every = [page.convert("RGB") for page in ImageSequence.Iterator(pages)]
    first, side = (page.crop((0, LABEL, 2 * EDGE, LABEL + EDGE)) for page in (every[0], every[len(every) // 4]))
    out = Image.new("RGB", (3 * EDGE, EDGE + LABEL), "white")
    out.paste(first, (0, LABEL))
    out.paste(side.crop((EDGE, 0, 2 * EDGE, EDGE)), (2 * EDGE, LABEL))
    labels = (title, f"{FAN} hypotheses, from the camera", "from the side")
    for i, label in enumerate(labels):
        ImageDraw.Draw(out).text(((i + .5) * EDGE, LABEL / 2), label, fill="black", font=ImageFont.load_default(15),
                                 anchor="mm")
    return out


def in_blender(pose: Pose, path: Path) -> None:
    """A lifted file on the add-on's signer: some frames side by side."""
    import bpy

    import blender_addon

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 32, False
    scene.render.resolution_x, scene.render.resolution_y = TALL
    scene.render.use_persistent_data = True
    with tempfile.TemporaryDirectory() as folder:
        write_pose(pose, Path(folder) / "lifted.pose")
        bpy.ops.pose_diffusion.import_pose(filepath=str(Path(folder) / "lifted.pose"))
        bpy.ops.pose_diffusion.create_studio()
        scene.camera.location, scene.camera.rotation_euler = (-2.6, -4.6, 1.0), (math.pi / 2, 0, -math.atan2(2.6, 4.6))
        scene.camera.data.lens = 68
        out = Image.new("RGB", (STRIP * TALL[0], TALL[1]))
        for i, frame in enumerate(np.linspace(scene.frame_start, scene.frame_end, STRIP + 2)[1:-1]):
            scene.frame_set(round(frame))
            scene.render.filepath = str(Path(folder) / f"{i}.png")
            bpy.ops.render.render(write_still=True)
            with Image.open(scene.render.filepath) as picture:
                out.paste(picture.convert("RGB"), (i * TALL[0], 0))
        out.save(path, quality=88)


if __name__ == "__main__":
    main()
