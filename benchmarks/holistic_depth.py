"""The depth that `lift` gives signers of MediaPipe Holistic, beside MediaPipe's own z.

    python benchmarks/holistic_depth.py --model DIR --out depth.md

Of real signers nobody knows the true depth. So both are held against what must be true of any body: bones keep their
length, left ones are as long as right ones, proportions are an adult's, depth does not shake more than x and y, a hand
that is seen before the trunk or the face is in front of it (`evaluation/holistic_depth.py`). Signers come from

    archives   sign/train/*.npz of --data: webcams, MediaPipe's output as it was, hips mostly outside the picture
    lexicon    the fingerspelling of `spoken-to-signed`: signers in studios; its authors replaced every signer's first
               pose by one mean signer's, so bones and z are no longer MediaPipe's
    captures   any other .pose files of MediaPipe Holistic that are named, as video_to_refined_pose or pose-format's
               video_to_pose write them; each is a source of its own. Do not refine what is to be measured

How to read the tables: `flat` is the picture without depth; a z that makes bones vary more than that is worse than
none. "z, best factor" takes, for each signer, the factor of z at which that very variation is smallest. `motion
capture` is the truth of real bodies, who do not sign: takes for tuning, seen from random directions. The same seed
draws the same clips. Each clip takes some seconds: --clips 1 tries everything in a few minutes.
"""
from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from pose_format import Pose
from tqdm import tqdm

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.diffusion.reprojection import student
from pose_diffusion.evaluation import holistic_depth as depth
from pose_diffusion.evaluation.holistic_depth import Signer
from pose_diffusion.evaluation.report import table
from pose_diffusion.files import PoseFileError, read_pose
from pose_diffusion.motion.skeletons import BODY
from pose_diffusion.tasks.detections import view_of
from pose_diffusion.tasks.lift import TAILS, lift, lift_points, load_body_model
from pose_diffusion.tasks.lifted import Lifted
from pose_diffusion.tasks.views import View
from pose_diffusion.training.mocap import split, takes
from pose_diffusion.training.sources import archive, lexicon_folder

WORLD = .26  # shoulder widths of depth of MediaPipe's world landmarks for one of its z (normalisation.py)
LONGEST = 90  # frames of a clip
SHOWN = 5  # hypotheses that are measured one by one
SPREAD = ("elbow", "wrist", "hip", "knee", "ankle")
CM = 100 * depth.SHOULDERS  # of a shoulder width


@dataclass(frozen=True)
class Clip:
    """A clip and what came of it.

    Attributes
    ----------
    signer : Signer
    lifted : np.ndarray
        ``(H, T, 17, 3)`` metres.
    mirrored : float
        cm between the mean lift of the mirror image and the mirror image of the mean lift, elbows and wrists.
    """

    signer: Signer
    lifted: np.ndarray
    mirrored: float


@dataclass(frozen=True)
class Source:
    """Clips of some signers.

    Attributes
    ----------
    name : str
    signers : dict of str to list of Clip
        By signer.
    original : bool
        Whether z is as MediaPipe gave it.
    """

    name: str
    signers: dict[str, list[Clip]]
    original: bool

    @property
    def clips(self) -> list[Clip]:
        """All of them."""
        return [clip for clips in self.signers.values() for clip in clips]


Bodies = list[tuple[Clip, list[np.ndarray]]]  # what a method makes of each clip: bodies (T, 17, 3), one or more


def methods(source: Source) -> dict[str, Bodies]:
    """Bodies by method."""
    out: dict[str, Bodies] = {"flat": [(clip, [clip.signer.with_depth(0)]) for clip in source.clips]}
    if source.original:
        for name, factor in (("z as documented", 1.), (f"z x {WORLD:g}", WORLD)):
            out[name] = [(clip, [clip.signer.with_depth(factor)]) for clip in source.clips]
    out["z, best factor"] = [
        (clip, [clip.signer.with_depth(factor)]) for clips in source.signers.values()
        for factor in [depth.best_factor([clip.signer for clip in clips])] for clip in clips]
    if source.original and all(clip.signer.world is not None for clip in source.clips):
        out["world landmarks"] = [(clip, [clip.signer.world]) for clip in source.clips if clip.signer.world is not None]
    out["lift, a hypothesis"] = [(clip, list(clip.lifted[:SHOWN])) for clip in source.clips]
    out["lift, their mean"] = [(clip, [clip.lifted.mean(0)]) for clip in source.clips]
    return out


def motion_capture(data: Path, seed: int) -> Bodies:
    """Real bodies as far cameras see them, with their true depth; none without the folder."""
    if not (data / "mocap" / "cmu_joints.npz").is_file():
        return []
    rng, out = np.random.default_rng(seed), []
    for take in split(takes(data)).tuning:
        for first in range(0, len(take.motion.xyz) - 2 * LONGEST, 2 * LONGEST):
            angle = rng.uniform(0, 2 * np.pi)
            turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, -1, 0], [np.sin(angle), 0, -np.cos(angle)]])
            xyz = take.motion.xyz[first:first + 2 * LONGEST:2].astype(float) @ turn.T  # from 60 to 30 fps
            there = np.ones(xyz.shape[:2])
            signer = Signer(xyz[..., :2], there, xyz[..., 2], np.ones((len(xyz), 2), bool), None)
            out.append((Clip(signer, xyz[None], 0.), [xyz]))
    return out


def bones_row(bodies: Bodies) -> list[str]:
    """Variation by bone, asymmetry, and distance from an adult."""
    rows = [np.concatenate([depth.steadiness(xyz, clip.signer.seen), depth.asymmetry(xyz, clip.signer.seen),
                            [depth.off_adult(xyz, clip.signer.seen)]]) for clip, found in bodies for xyz in found]
    return [figure(100 * mean(column), 1) for column in np.array(rows).T]


def depth_row(name: str, bodies: Bodies) -> list[str]:
    """Shaking of z, its ratio to that of x and y, and how hands are before the trunk."""
    sums, front = np.zeros(3), []
    for clip, found in bodies:
        for xyz in found:
            scaled = xyz * CM / width(xyz, clip.signer)
            sums += depth.shaking(scaled, clip.signer.seen)
            front.append(depth.in_front(scaled, clip.signer))
    z, xy = np.sqrt(sums[:2] / max(1, sums[2]))
    hands = np.concatenate(front)
    hands = hands[np.isfinite(hands)]
    if name == "flat" or not len(hands):
        return [figure(10 * z, 1), figure(10 * xy, 1), figure(z / xy, 2), "-", "-", "-"]
    number = sum(len(some) for some in front) // max(1, len(front) // len(bodies))
    return [figure(10 * z, 1), figure(10 * xy, 1), figure(z / xy, 2), str(number), figure(100 * (hands < 0).mean(), 1),
            figure(float(np.median(hands)), 0)]


def agreement_row(source: Source) -> list[str]:
    """How MediaPipe's depth of arms goes with that of the mean of the hypotheses, and how often it is between them."""
    sums = {joint: np.zeros((2, 4)) for joint in ("elbow", "wrist")}
    inside, apart, wide = [], [], []
    for clip, name in ((clip, name) for clip in source.clips for name in depth.MOVING):
        seen = clip.signer.seen[:, BODY.index(name)]
        unit = CM / width(clip.lifted.mean(0), clip.signer)
        ours = depth.relative_depth(clip.lifted, name) * unit
        theirs = depth.relative_depth(clip.signer.with_depth(WORLD), name) * CM / depth.shoulder_width(clip.signer)
        kind = name.split("_")[1]
        sums[kind][0] += depth.moments(theirs, ours.mean(0), seen)
        if clip.signer.world is not None:
            sums[kind][1] += depth.moments(depth.relative_depth(clip.signer.world, name), ours.mean(0), seen)
        if kind == "wrist" and source.original:
            low, high = depth.ends(ours[:, seen])
            inside.append((theirs[seen] >= low) & (theirs[seen] <= high))
            apart.append(theirs[seen] - ours.mean(0)[seen])
            wide.append(high - low)
    cells = [figure(depth.correlation(sums[kind][which]), 2) for kind in sums for which in (0, 1)]
    if not inside:
        return [*cells, "-", "-", "-"]
    return [*cells, *(figure(float(value), 0) for value in (
        100 * np.concatenate(inside).mean(), np.median(np.concatenate(wide)), np.median(np.concatenate(apart))))]


def spread_row(source: Source) -> list[str]:
    """The interval of depths between the hypotheses, by joint, where it is seen and where not; and the mirror test."""
    cells = []
    for joint in SPREAD:
        parts: dict[bool, list[np.ndarray]] = {True: [], False: []}
        for clip, side in ((clip, side) for clip in source.clips for side in depth.SIDES):
            name = f"{side}_{joint}"
            low, high = depth.ends(depth.relative_depth(clip.lifted, name))
            seen = clip.signer.seen[:, BODY.index(name)]
            parts[True].append(high[seen] - low[seen])
            parts[False].append(high[~seen] - low[~seen])
        values = [np.concatenate(parts[seen]) * 100 for seen in (True, False)]
        cells.append(" / ".join(figure(float(np.median(x)), 0) if len(x) else "-" for x in values))
    shoulders = [depth.lengths(clip.lifted)[..., 0, 2].mean() * 100 for clip in source.clips]
    return [*cells, figure(mean([clip.mirrored for clip in source.clips]), 1), figure(mean(shoulders), 0)]


def width(xyz: np.ndarray, signer: Signer) -> float:
    """Between the shoulders of a body `(T, 17, 3)`, as the picture shows them, in its unit."""
    known = signer.seen[:, [BODY.index(f"{side}_shoulder") for side in depth.SIDES]].all(1)
    return depth.width_of(xyz[known][..., :2])


def mean(values: Sequence[float] | np.ndarray) -> float:
    """Of what is not NaN."""
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def figure(value: float, digits: int) -> str:
    """As the tables have it."""
    return "-" if not np.isfinite(value) else f"{value:.{digits}f}"


def mirror_apart(pose: Pose, model: PoseDiffusion) -> float:
    """How far lifting is from treating left and right alike, cm: elbows and wrists of the mean."""
    view = view_of(pose)
    size = view.size or (0., 0.)
    swapped = list(BODY.mirror)
    other = View((torch.tensor([size[0], 0.]) + view.points * torch.tensor([-1., 1.]))[:, swapped],
                 view.confidence[:, swapped], view.spread, None, view.size)
    means = [lift_points([one], fps=float(pose.body.fps), steps=1, robust=student(TAILS), model=model)
             for one in (view, other)]
    plain, turned = (lifted.xyz[0] - lifted.root[0][:, None] for lifted in means)
    turned = turned[:, swapped] * [-1, 1, 1]
    arms = [BODY.index(name) for name in depth.MOVING]
    return 100 * float(np.linalg.norm(plain - turned, axis=-1)[:, arms].mean())


def lifted_clip(pose: Pose, hypotheses: int, seed: int, model: PoseDiffusion) -> Clip:
    """Lift a clip."""
    lifted: Lifted = lift(pose, hypotheses=hypotheses, seed=seed, model=model)
    return Clip(depth.signer_of(pose), lifted.xyz - lifted.root[:, :, None], mirror_apart(pose, model))


def drawn(poses: Sequence[Pose], number: int, seed: int) -> list[Pose]:
    """Some of the clips in which shoulders and an arm are seen."""
    order = np.random.default_rng(seed).permutation(len(poses))
    return list(islice((pose for pose in (cut(poses[i]) for i in order) if usable(pose)), number))


def usable(pose: Pose) -> bool:
    """Whether enough is seen."""
    try:
        return depth.enough_seen(depth.signer_of(pose))
    except ValueError:  # hardly a joint
        return False


def cut(pose: Pose) -> Pose:
    """At most the first frames."""
    return Pose(pose.header, pose.body[:LONGEST])


def gathered(args: argparse.Namespace) -> dict[str, tuple[bool, dict[str, list[Pose]]]]:
    """Poses by source and signer, and whether their z is MediaPipe's."""
    out: dict[str, tuple[bool, dict[str, list[Pose]]]] = {}
    files = sorted((args.data / "sign" / "train").glob("*.npz"))
    if files:
        reading = tqdm(files, desc="reading archives", leave=False)
        out["archives"] = True, {path.stem: drawn([pose for pose, _ in archive(path).clips], args.clips, args.seed)
                                 for path in reading}
    folders = sorted(path for path in lexicon_folder().iterdir() if any(path.glob("*.pose")))
    reading = tqdm(folders, desc="reading the lexicon", leave=False)
    out["lexicon"] = False, {path.name: drawn([read_pose(file) for file in sorted(path.glob("*.pose"))], args.clips,
                                              args.seed) for path in reading}
    for path in args.captures:
        out[path.stem] = True, {path.stem: [cut(read_pose(path))]}
    return out


def sources(args: argparse.Namespace, model: PoseDiffusion) -> list[Source]:
    """All clips, lifted."""
    poses = gathered(args)
    total = sum(len(clips) for _, signers in poses.values() for clips in signers.values())
    out = []
    with tqdm(total=total, desc="lifting", unit="clip") as bar:
        for name, (original, signers) in poses.items():
            found: dict[str, list[Clip]] = {}
            for signer, clips in signers.items():
                for pose in clips:
                    found.setdefault(signer, []).append(lifted_clip(pose, args.hypotheses, args.seed, model))
                    bar.update()
            out.append(Source(name, found, original))
    return out


def report(found: Sequence[Source], truth: Bodies, settings: str) -> str:
    """The tables as Markdown."""
    made = [(f"{source.name}: {name}", name, bodies) for source in found for name, bodies in methods(source).items()]
    made += [("motion capture: truth", "truth", truth)] if truth else []
    kinds = [f"{kind}: varies, %" for kind in depth.KINDS]
    text = [settings, "", *(f"* {source.name}: {len(source.clips)} clips, "
                            f"{sum(len(clip.signer.picture) for clip in source.clips)} frames, "
                            f"{len(source.signers)} {'signers or cameras' if len(source.signers) > 1 else 'signer'}; "
                            f"best factors of z {factors(source)}" for source in found)]
    parts = {
        "Bones": table(["source: method", *kinds, "upper arm: left against right, %", "forearm, %",
                        "off an adult's proportions, %"],
                       [[row, *bones_row(bodies)] for row, _, bodies in made]),
        "Depth": table(["source: method", "z shakes, mm/frame^2", "x and y, mm/frame^2", "ratio",
                        "hands before trunk or face", "behind it, %", "median in front, cm"],
                       [[row, *depth_row(name, bodies)] for row, name, bodies in made]),
        "MediaPipe's z and lifting": table(
            ["source", "r of elbows: z", "world", "r of wrists: z", "world", "wrist's z in the 90 % interval, %",
             "interval, cm", "z less lift, cm"], [[source.name, *agreement_row(source)] for source in found]),
        "Spread of the hypotheses": table(
            ["source", *(f"{joint}: seen / not, cm" for joint in SPREAD), "mirror, cm", "shoulders, cm"],
            [[source.name, *spread_row(source)] for source in found]),
    }  # yapf: disable
    return "\n".join([*text, *(line for title, lines in parts.items() for line in ("", f"### {title}", "", lines))])


def factors(source: Source) -> str:
    """The best factors' median and range."""
    values = [depth.best_factor([clip.signer for clip in clips]) for clips in source.signers.values()]
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Print the tables."""
    data = Path(os.environ.get("POSE_DIFFUSION_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", type=Path, metavar="POSE", help="files of MediaPipe Holistic")
    parser.add_argument("--data", type=Path, default=data, metavar="DIR",
                        help="folder with sign/train (default: that of POSE_DIFFUSION_DATA; without it no archives)")
    parser.add_argument("--model", metavar="DIR", help="folder of the model of bodies (default: the shipped one)")
    parser.add_argument("--clips", type=int, default=4, metavar="N",
                        help="of each archive and each language of the lexicon (default: 4)")
    parser.add_argument("--hypotheses", type=int, default=20, metavar="N", help="of each clip, from 19 (default: 20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="of the drawn clips and of lifting (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the tables to this file")
    args = parser.parse_args()
    if args.hypotheses < 19 or args.clips < 1:
        parser.error("--hypotheses must be 19 or more, a 90 % interval has no ends below; --clips must be 1 or more")
    torch.set_num_threads(1)
    try:
        found = sources(args, load_body_model(args.model))
    except PoseFileError as error:
        parser.error(str(error))
    settings = f"{args.clips} clips of each signer, {args.hypotheses} hypotheses, seed {args.seed}"
    text = report(found, motion_capture(args.data, args.seed), settings) + "\n"
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
