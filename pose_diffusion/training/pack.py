"""Make the packed training file: keypoint archives and `.pose` files with their texts, normalised by `clip.encode`.

    python -m pose_diffusion.training.pack --data ../shared/data --out pack.npz
    python -m pose_diffusion.training.pack --csv data.csv --poses FOLDER [--embeddings FILE.npy] --out pack.npz

--data takes `sign/train/*.npz`, `sign/valid/*.npz` and `hands/*.npz` below a folder, and the fingerspelling lexicon of
`spoken-to-signed`; --csv a user's own `.pose` files. With both, both are packed. --embeddings adds the user's own
embeddings of the texts of --csv.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pose_diffusion.clip import encode
from pose_diffusion.commands.errors import about, run
from pose_diffusion.files import atomic
from pose_diffusion.training.sources import Source, archives
from pose_diffusion.training.transcribed import csv_sources, read_embeddings

FARTHEST = 30.  # shoulder widths: a clip that reaches beyond is a failed estimate
COLUMNS = """\
columns of the CSV (UTF-8, commas):
  pose      path of a .pose file below --poses; neither absolute, nor with "..", nor a link out of that folder
  text      what is signed: a word or gloss, SignWriting (FSW or SWU) or HamNoSys
  language  ISO 639-3 of the signed language, e.g. ase; "und" where there is none. Or videoLanguage
  start     MILLISECONDS from the beginning of the file; 0 where there is none
  end       MILLISECONDS; none or 0: to the end of the file
  source    signer and camera, what training is validated by (--data.held_out); the CSV's name where there is none
Rows of the same pose, start and end are one clip with several texts. The first person of a file is packed.
"""


def pack(sources: Sequence[Source], out: Path) -> int:
    """Write the packed file.

    Parameters
    ----------
    sources : sequence of Source
        Clips that reach more than 30 shoulder widths out, or show no point, are left out as failed estimates.
    out : Path
        The file (`.npz`), see `training.data`; it is replaced when all is written.

    Returns
    -------
    int
        How many clips were left out.

    Raises
    ------
    ValueError
        If two sources have the same name, or embeddings of different widths, or no clip is left.
    """
    names = [one.name for one in sources]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two sources have the name {', '.join(sorted(twice))}: rename one in the column `source`")
    if len(widths := {one.embeddings.shape[1] for one in sources if one.embeddings is not None}) > 1:
        raise ValueError(f"embeddings of widths {sorted(widths)}: make a pack of each")
    xyz, confidence, source, fps = [], [], [], []
    lens: list[int] = []
    texts: list[tuple[int, str, str]] = []
    embeddings: list[tuple[int, np.ndarray]] = []
    left_out = 0
    for number, one in enumerate(sources):
        for place, (pose, of_clip) in enumerate(tqdm(one.clips, desc=one.name, unit="clip", total=one.number)):
            clip = encode(pose)[0]
            if not clip.confidence.any() or np.abs(clip.xyz).max() > FARTHEST:
                left_out += 1
                continue
            texts += [(len(lens), text, language) for text, language in of_clip]
            if one.embeddings is not None:
                embeddings.append((len(lens), one.embeddings[place]))
            xyz.append(clip.xyz.astype(np.float16))
            confidence.append(np.minimum(np.ceil(clip.confidence * 255), 255).astype(np.uint8))
            lens.append(len(clip.xyz))
            source.append(number)
            fps.append(float(pose.body.fps) if one.timed else 0.)
    if not lens:
        raise ValueError(f"there is nothing to pack: {left_out} clips were found, all of them failed estimates")
    with atomic(out) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, xyz=np.concatenate(xyz), confidence=np.concatenate(confidence), lens=np.array(lens),
                            source=np.array(source), fps=np.array(fps), sources=np.array(names),
                            text=np.array([text for _, text, _ in texts], str),
                            text_clip=np.array([clip for clip, _, _ in texts], np.int32),
                            language=np.array([language for _, _, language in texts], str), **_embedded(embeddings))
    return left_out


def _embedded(embeddings: list[tuple[int, np.ndarray]]) -> dict[str, Any]:
    """The arrays of embeddings; none where there are no embeddings."""
    if not embeddings:
        return {}
    return {"embedding": np.stack([values for _, values in embeddings]),
            "embedding_clip": np.array([clip for clip, _ in embeddings], np.int32)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser("pose_diffusion.training.pack", description=__doc__, epilog=COLUMNS,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with sign/train, sign/valid and hands")
    parser.add_argument("--csv", type=Path, help="what is signed in your own .pose files, see below")
    parser.add_argument("--poses", type=Path, help="folder of the .pose files; by default the one of --csv")
    parser.add_argument("--embeddings", type=Path, metavar="FILE.npy",
                        help="floats (rows, width): your own text embedding of each row of --csv, in its order, blank "
                             "lines not counted; a clip gets that of its first row")
    parser.add_argument("--out", type=Path, required=True, help="the packed file to write (.npz)")
    args = parser.parse_args(argv)
    if args.data is None and args.csv is None:
        parser.error("give --data, --csv, or both")
    if args.poses is not None and args.csv is None:
        parser.error("--poses needs --csv")
    if args.embeddings is not None and args.csv is None:
        parser.error("--embeddings needs --csv")
    return run("pose_diffusion.training.pack", lambda: _pack(args))


def _pack(args: argparse.Namespace) -> int:
    sources: list[Source] = []
    embeddings = None
    if args.embeddings is not None:
        with about(args.embeddings):
            embeddings = read_embeddings(args.embeddings)
    if args.csv is not None:
        with about(args.csv):
            own = csv_sources(args.csv, args.poses or args.csv.parent, embeddings)
    with about(args.out):
        if args.data is not None:
            sources += archives(args.data)
        if args.csv is not None:
            sources += own
        args.out.parent.mkdir(parents=True, exist_ok=True)
        left_out = pack(sources, args.out)
    tqdm.write(f"{args.out}: written; {left_out} clips were left out as failed estimates", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
