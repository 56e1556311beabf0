"""Make the packed training file: keypoint archives and folders of `.pose` files, normalised by `clip.encode`.

    python -m pose_diffusion.training.pack --data ../shared/data --out .cache/pack.npz

takes `sign/train/*.npz` and `sign/valid/*.npz` below `--data` and the fingerspelling lexicon of `spoken-to-signed`.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pose_format import Pose, PoseHeader
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeaderComponent, PoseHeaderDimensions
from tqdm import tqdm

from pose_diffusion.clip import encode
from pose_diffusion.files import atomic, read_pose
from pose_diffusion.layout import HOLISTIC, Layout

HEIGHT = 1000  # pixels; the archives hold fractions of the image
FARTHEST = 30.  # shoulder widths: a clip that reaches beyond is a failed estimate


def keypoint_header(width: int, height: int, layout: Layout = HOLISTIC) -> PoseHeader:
    """A header with just the points of a layout."""
    components: dict[str, list[str]] = {}
    for component, point in layout.points:
        components.setdefault(component, []).append(point)
    return PoseHeader(0.2, PoseHeaderDimensions(width, height, 0),
                      [PoseHeaderComponent(name, points, [], [], "XYZC") for name, points in components.items()])


def archive_poses(path: Path) -> Iterator[Pose]:
    """The clips of one keypoint archive (see the data's README) as poses; frame rate unknown, taken as 20."""
    with np.load(path, allow_pickle=False) as data:
        xyz = data["xyz"].astype(np.float32) / float(data["scale"])
        missing = (data["xyz"] == 0).all(-1)
        frames = len(xyz)
        values = np.zeros((frames, len(HOLISTIC), 3), np.float32)
        confidence = np.zeros((frames, len(HOLISTIC)), np.float32)
        body, hands, face = HOLISTIC.parts["body"], slice(25, 67), HOLISTIC.parts["face"]
        values[:, body], values[:, hands] = xyz[:, :25], xyz[:, 33:]
        visible = np.maximum(data["vis"][:, :25].astype(np.float32), 1) / 255
        confidence[:, body] = np.where(missing[:, :25], 0, visible)
        confidence[:, hands] = np.repeat(~missing[:, 33:].reshape(frames, 2, 21).all(-1), 21, axis=1)
        if "face" in data.files:
            values[:, face] = data["face"].astype(np.float32) / float(data["scale"])
            confidence[:, face] = ~(data["face"] == 0).all(-1)
        width = round(HEIGHT * float(data["aspect"]))
        lens = data["lens"]
    values[..., :2] *= (width, HEIGHT)
    header = keypoint_header(width, HEIGHT)
    for start, length in zip(np.cumsum(lens) - lens, lens):
        rows = slice(start, start + length)
        yield Pose(header, NumPyPoseBody(20., values[rows, None], confidence[rows, None]))


def lexicon_folder() -> Path:
    """The fingerspelling lexicon inside the package `spoken-to-signed`."""
    import spoken_to_signed

    return Path(spoken_to_signed.__file__).parent / "assets" / "fingerspelling_lexicon"


def sources(data: Path) -> Iterator[tuple[str, list[Pose] | Iterator[Pose]]]:
    """`(name, poses)` of every source: an archive each, a language of the lexicon each."""
    for path in sorted([*data.glob("sign/train/*.npz"), *data.glob("sign/valid/*.npz")]):
        yield path.stem, archive_poses(path)
    lexicon = lexicon_folder()
    for folder in sorted(path for path in lexicon.iterdir() if any(path.glob("*.pose"))):
        poses = [read_pose(path) for path in sorted(folder.glob("*.pose"))]
        yield f"lexicon-{folder.name}", poses


def pack(data: Path, out: Path) -> None:
    """Write the packed file."""
    xyz, confidence, lens, source, fps, names = [], [], [], [], [], []
    for name, poses in sources(data):
        names.append(name)
        for pose in tqdm(poses, desc=name, unit="clip"):
            clip = encode(pose)[0]
            if np.abs(clip.xyz).max() > FARTHEST:
                continue
            xyz.append(clip.xyz.astype(np.float16))
            confidence.append(np.ceil(clip.confidence * 255).astype(np.uint8))
            lens.append(len(clip.xyz))
            source.append(len(names) - 1)
            fps.append(float(pose.body.fps) if name.startswith("lexicon-") else 0.)
    with atomic(out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, xyz=np.concatenate(xyz), confidence=np.concatenate(confidence), lens=np.array(lens),
                            source=np.array(source), fps=np.array(fps), sources=np.array(names))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sign/train and sign/valid")
    parser.add_argument("--out", type=Path, required=True, help="the packed file to write (.npz)")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pack(args.data, args.out)


if __name__ == "__main__":
    main()
