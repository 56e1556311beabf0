"""`make demo`: the main job on real input, with pictures.

Without an argument it takes a letter of Croatian fingerspelling from the `spoken-to-signed` lexicon (the model was not
trained on that language), hides the right hand for half a second and adds jitter; with a file it refines that file.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pose_diffusion.commands.errors import about, run

if TYPE_CHECKING:
    from pose_format import Pose

CLIP = "assets/fingerspelling_lexicon/csq/fs-stsdfbeba95bb1a"  # the file's name goes on
HIDDEN_SECONDS = 0.5
JITTER = 0.01  # standard deviation in shoulder widths


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser("demo", description="Refine a pose and draw before and after.")
    parser.add_argument("pose", nargs="?", type=Path, help="a .pose file of your own")
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), metavar="DIR", help="(default: demo)")
    args = parser.parse_args(argv)
    return run("demo", lambda: _demo(args.pose, args.output))


def _demo(source: Path | None, folder: Path) -> int:
    from pose_diffusion import refine, save_preview
    from pose_diffusion.files import read_pose, write_pose

    path = source or _lexicon_clip()
    with about(path):
        before = read_pose(path)
        before = before if source else damaged(before)
        after = refine(before)
    with about(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_pose(before, folder / "before.pose")
        write_pose(after, folder / "refined.pose")
        save_preview(before, after, folder / "before_after.gif")
    for name in ("before.pose", "refined.pose", "before_after.gif"):
        print(folder / name)
    return 0


def _lexicon_clip() -> Path:
    with about("the spoken-to-signed package (pip install 'pose-diffusion[dev]')"):
        folder = Path(str(files("spoken_to_signed"))) / Path(CLIP).parent
        return next(folder.glob(Path(CLIP).name + "*.pose"))


def damaged(pose: Pose) -> Pose:
    """A copy with the right hand hidden in the middle and everything else shaken, always in the same way.

    Parameters
    ----------
    pose : Pose
        In pixels, with shoulders. It is not changed.
    """
    import numpy as np
    from pose_format import Pose
    from pose_format.numpy import NumPyPoseBody

    from pose_diffusion.layout import BODY, RIGHT_HAND, header_positions

    names = header_positions(pose.header)
    data, confidence = np.ma.getdata(pose.body.data).copy(), pose.body.confidence.copy()
    shoulders = data[:, :, [names[BODY, "LEFT_SHOULDER"], names[BODY, "RIGHT_SHOULDER"]], :2]
    width = np.median(np.linalg.norm(shoulders[:, :, 0] - shoulders[:, :, 1], axis=-1))
    noise = np.random.default_rng(0).normal(scale=JITTER * width, size=data.shape[:-1] + (2,))
    data[..., :2] += noise.astype(data.dtype)
    hidden = round(HIDDEN_SECONDS * pose.body.fps)
    start = (len(data) - hidden) // 2
    hand = [i for (component, _), i in names.items() if component == RIGHT_HAND]
    confidence[start:start + hidden, :, hand] = 0
    data *= (confidence > 0)[..., None]
    return Pose(pose.header, NumPyPoseBody(pose.body.fps, data, confidence))


if __name__ == "__main__":
    sys.exit(main())
