"""Make the packed training file: keypoint archives and folders of `.pose` files, normalised by `clip.encode`.

    python -m pose_diffusion.training.pack --data ../shared/data --out .cache/pack.npz

takes `sign/train/*.npz` and `sign/valid/*.npz` below `--data`, the fingerspelling lexicon of `spoken-to-signed`, and
`hands/*.npz`.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pose_diffusion.clip import encode
from pose_diffusion.files import atomic
from pose_diffusion.training.sources import Source, archives

FARTHEST = 30.  # shoulder widths: a clip that reaches beyond is a failed estimate


def pack(sources: Iterable[Source], out: Path) -> None:
    """Write the packed file.

    Parameters
    ----------
    sources : iterable of Source
        Clips that reach more than 30 shoulder widths out, or show nothing, are left out as failed estimates.
    out : Path
        The file (`.npz`), see `training.data`; it is replaced when all is written.
    """
    xyz, confidence, source, fps, names = [], [], [], [], []
    lens: list[int] = []
    texts: list[tuple[int, str, str]] = []
    for one in sources:
        names.append(one.name)
        for pose, of_clip in tqdm(one.clips, desc=one.name, unit="clip", total=one.number):
            clip = encode(pose)[0]
            if not clip.confidence.any() or np.abs(clip.xyz).max() > FARTHEST:
                continue
            texts += [(len(lens), text, language) for text, language in of_clip]
            xyz.append(clip.xyz.astype(np.float16))
            confidence.append(np.ceil(clip.confidence * 255).astype(np.uint8))
            lens.append(len(clip.xyz))
            source.append(len(names) - 1)
            fps.append(float(pose.body.fps) if one.timed else 0.)
    with atomic(out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, xyz=np.concatenate(xyz), confidence=np.concatenate(confidence), lens=np.array(lens),
                            source=np.array(source), fps=np.array(fps), sources=np.array(names),
                            text=np.array([text for _, text, _ in texts], str),
                            text_clip=np.array([clip for clip, _, _ in texts], np.int32),
                            language=np.array([language for _, _, language in texts], str))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sign/train, sign/valid and hands")
    parser.add_argument("--out", type=Path, required=True, help="the packed file to write (.npz)")
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    pack(archives(args.data), args.out)


if __name__ == "__main__":
    main()
