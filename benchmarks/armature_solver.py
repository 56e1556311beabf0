"""How exactly does an armature sign? The solver's hands on known motions, and on real clips.

    python -m benchmarks.armature_solver --data ../shared/data [--captures FOLDER]

Known motions: Rigify's metarig moves as a hand can; its joints, exact or noisy, are solved, keyed, and read back
through Blender. Real clips: files of spoken-to-signed's lexicon, and with `--data` sequences of the training data, with
`--captures` any `.pose` files. Their depth is not known: what counts is how a finger bone looks from the front.
Settings were chosen on every other clip; the table is of the rest.
"""
from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np
import spoken_to_signed

from blender_addon.animation.apply import apply_motion, skeleton_of
from blender_addon.points import BODY, HANDS, POINTS
from blender_addon.posefile import Component, PoseFile, read
from blender_addon.rigs.match import match
from blender_addon.solver.fingers import (
    LIMITS,
    STRAIGHT,
    HandRest,
    angles_of,
    axes_of,
    directions,
    hand_rest,
    local_quaternions,
)
from blender_addon.solver.gaps import smooth
from blender_addon.solver.rotations import about, degrees_between, frame, to_matrices, to_quaternions, unit
from blender_addon.solver.skeleton import FINGERS, SIDES, Motion, Skeleton
from blender_addon.solver.solve import Solving, solve
from blender_addon.tracks import Tracks, tracks

FPS, FRAMES = 25.0, 200
SEEDS = (0, 1)
NOISE = ((0, 0, 0.0), (0, 0, .06), (2, 8, 0.0), (2, 8, .06), (5, 15, .06))  # mm in the image, mm in depth, smoothing
FILES, SEQUENCES = 100, 60
PER_SOURCE = SEQUENCES // 12
FINGER_ROLES = tuple(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3))
HAND_JOINTS = ("hand", *(f"{finger}.{i}" for finger in FINGERS for i in (1, 2, 3, 4)))
BEGIN = np.arange(20).reshape(5, 4)[:, :3].ravel() + 1  # the joint at which each finger bone begins
JUMP, STILL = 25.0, 10.0  # degrees from a frame to the next: of a bone, of its points


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the training data's folder")
    parser.add_argument("--captures", type=Path, help="a folder of .pose files")
    parser.add_argument("--tuning", action="store_true", help="the clips that settings were chosen on, instead")
    args = parser.parse_args()
    rig = metarig()
    bones = match([bone.name for bone in rig.data.bones],
                  {bone.name: bone.parent and bone.parent.name for bone in rig.data.bones}).bones
    skeleton = skeleton_of(rig, bones)
    print(f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}, Blender {bpy.app.version_string}\n")
    known_motions(rig, skeleton)
    for name, clips in real_clips(args.data, args.captures, args.tuning):
        real(name, clips, skeleton)


def metarig() -> bpy.types.Object:
    """Rigify's human metarig, in an empty scene of 25 frames per second."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    import addon_utils  # comes with bpy, and is only found once that is imported

    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    bpy.context.scene.render.fps = int(FPS)
    return bpy.context.object


# Known motions

def known_motions(rig: bpy.types.Object, skeleton: Skeleton) -> None:
    """The table of errors in space."""
    print(f"Known motions: {len(SEEDS)} seeds x {FRAMES} frames x 10 fingers, through Blender\n")
    print("| mode | noise, image / depth | smoothing | finger direction: mean, p95, max | fingertip: mean, p95 | "
          "palm: mean, p95 | beyond a limit | s |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for mode in ("anatomical", "follow"):
        for image, depth, smoothing in NOISE:
            runs = [known_motion(rig, skeleton, seed, np.array([image, depth, image]) / 1000,
                                 Solving(mode, smoothing=smoothing)) for seed in SEEDS]
            turned, off, palm = (np.concatenate([getattr(run, name) for run in runs]).ravel()
                                 for name in ("turned", "off", "palm"))
            beyond = np.mean([run.beyond for run in runs])
            print(f"| {mode} | {image} / {depth} mm | {smoothing:g} s | {turned.mean():.2f}, {p95(turned):.2f}, "
                  f"{turned.max():.2f}° | {1000 * off.mean():.2f}, {1000 * p95(off):.2f} mm | {palm.mean():.2f}, "
                  f"{p95(palm):.2f}° | {beyond:.1%} | {np.mean([run.seconds for run in runs]):.2f} |", flush=True)
    print()


@dataclass(frozen=True, eq=False)
class Run:
    """Errors of one motion: degrees, metres, degrees; share of angles beyond a limit; processor seconds to solve."""

    turned: np.ndarray
    off: np.ndarray
    palm: np.ndarray
    beyond: float
    seconds: float


def known_motion(rig: bpy.types.Object, skeleton: Skeleton, seed: int, noise: np.ndarray, solving: Solving) -> Run:
    """One motion of both hands, solved and read back."""
    rng = np.random.default_rng(seed)
    quaternions: dict[int, np.ndarray] = {}
    for side in SIDES:
        rest = rest_of(skeleton, side)
        palm, angles = plausible(rng)
        hand = skeleton.roles[f"hand.{side}"]
        quaternions |= {hand: to_quaternions(skeleton.rest[hand].T @ axes_of(rest, palm))}
        quaternions |= local_quaternions(rest, angles)
    axes, heads, tails = skeleton.posed(quaternions, FRAMES)
    seen = joints_of(skeleton, heads, tails)
    of_hands = np.array([joint.rpartition(".")[0] in HAND_JOINTS for joint in seen.joints])
    jitter = np.random.default_rng(seed + 100).normal(size=seen.xyz.shape) * noise * of_hands[:, None]
    begun = time.process_time()
    motion = solve(replace(seen, xyz=seen.xyz + jitter), skeleton, solving)
    seconds = time.process_time() - begun
    apply_motion(bpy.context, rig, motion, start=1, name="benchmark")
    found_heads, found_tails, found_axes = read_back(rig, skeleton)
    bones = [skeleton.roles[f"{role}.{side}"] for side in SIDES for role in FINGER_ROLES]
    wrists = [skeleton.roles[f"hand.{side}"] for side in SIDES]
    tips = [skeleton.roles[f"{finger}.3.{side}"] for side in SIDES for finger in FINGERS]

    def reach(heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
        return tails[:, tips] - np.repeat(heads[:, wrists], 5, axis=1)

    turn = np.einsum("tbji,tbjk->tbik", axes[:, wrists], found_axes[:, wrists])
    return Run(degrees_between((found_tails - found_heads)[:, bones], (tails - heads)[:, bones]),
               np.linalg.norm(reach(found_heads, found_tails) - reach(heads, tails), axis=-1),
               np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(turn - np.eye(3), axis=(-1, -2)) / np.sqrt(8), 0, 1))),
               float(np.mean([beyond(skeleton, motion, side) for side in SIDES])), seconds)


def plausible(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Palm frames and angles as of a signer: fingers half bent, that move by 25 degrees in about a quarter second."""
    middle = np.radians([[15, 0, 15, 10]] + [[35, -8, 45, 30]] * 4)
    spread = np.radians([[12, 10, 15, 12]] + [[25, 6, 30, 20]] * 4)
    angles = middle + spread * wander(rng, 20, .24).reshape(FRAMES, 5, 4)
    turn = np.radians(40) * wander(rng, 3, .32)
    facing = frame(np.array([0.0, 0, 1]), np.array([1.0, 0, 0]))
    return about(unit(turn), np.linalg.norm(turn, axis=-1)) @ facing, np.clip(angles, *(np.moveaxis(LIMITS, -1, 0)))


def wander(rng: np.random.Generator, count: int, seconds: float) -> np.ndarray:
    """`(FRAMES, count)`: Gaussian processes of variance 1, smoothed with a Gaussian of so many seconds."""
    reach = int(4 * seconds * FPS)
    kernel = np.exp(-.5 * (np.arange(-reach, reach + 1) / (seconds * FPS)) ** 2)
    white = rng.standard_normal((count, FRAMES + 2 * reach))
    return np.stack([np.convolve(row, kernel / np.linalg.norm(kernel), "valid") for row in white], -1)


def joints_of(skeleton: Skeleton, heads: np.ndarray, tails: np.ndarray) -> Tracks:
    """The joints of arms and hands."""
    points = {}
    for side in SIDES:
        for joint, role in (("shoulder", "upper_arm"), ("elbow", "forearm"), ("wrist", "hand"), ("hand", "hand")):
            points[f"{joint}.{side}"] = heads[:, skeleton.roles[f"{role}.{side}"]]
        for finger in FINGERS:
            for i in (1, 2, 3):
                bone = skeleton.roles[f"{finger}.{i}.{side}"]
                points[f"{finger}.{i}.{side}"], points[f"{finger}.{i + 1}.{side}"] = heads[:, bone], tails[:, bone]
    xyz = np.stack(list(points.values()), 1)
    return Tracks(FPS, tuple(points), xyz, np.ones(xyz.shape[:2], bool))


def read_back(rig: bpy.types.Object, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heads and tails `(T, B, 3)` and axes `(T, B, 3, 3)` of all bones, as Blender evaluates them."""
    order = [rig.pose.bones[name] for name in skeleton.bones]
    heads, tails = np.empty((2, FRAMES, len(order), 3))
    axes = np.empty((FRAMES, len(order), 3, 3))
    for i in range(FRAMES):
        bpy.context.scene.frame_set(1 + i)
        for b, bone in enumerate(order):
            heads[i, b], tails[i, b], axes[i, b] = bone.head, bone.tail, bone.matrix.to_3x3()
    return heads, tails, axes


# Limits

def rest_of(skeleton: Skeleton, side: str) -> HandRest:
    """The hand at rest, which this rig has."""
    rest = hand_rest(skeleton, side)
    if rest is None:
        raise ValueError(f"the rig has no hand {side}")
    return rest


def beyond(skeleton: Skeleton, motion: Motion, side: str) -> float:
    """The share of finger angles that are beyond a limit by more than rounding."""
    rest = rest_of(skeleton, side)
    flip = np.array([-1.0, 1, 1]) if side == "R" else np.ones(3)
    index = {name: i for i, name in enumerate(motion.bones)}
    turn = np.empty((len(motion.quaternions), 5, 3, 3, 3))
    for (f, k), bone in rest.bones.items():
        local = to_matrices(motion.quaternions[:, index[skeleton.bones[bone]]])
        turn[:, f, k] = rest.palm.T @ ((rest.rest[bone] @ local @ rest.rest[bone].T) * flip * flip[:, None]) @ rest.palm
    along = np.empty((len(turn), 5, 3, 3))
    for k in range(3):  # straight fingers, turned as the rig's: without what is the rig's own
        whole = turn[:, :, 0]
        for later in range(1, k + 1):
            whole = whole @ turn[:, :, later]
        along[:, :, k] = np.einsum("tfij,fj->tfi", whole, straight_at_rest(rest)[:, k])
    angles = angles_of(along)
    return float(((angles < LIMITS[..., 0] - 1e-3) | (angles > LIMITS[..., 1] + 1e-3)).mean())


def straight_at_rest(rest: HandRest) -> np.ndarray:
    """`(5, 3, 3)`: where the bones would point at rest if they had no deviation of their own."""
    return directions(np.repeat(STRAIGHT[:, None], 3, axis=1), rest.angles)[0]


# Real clips

def real_clips(data: Path | None, captures: Path | None, tuning: bool) -> Iterator[tuple[str, list[Tracks]]]:
    """Names of sets and their clips: of the lexicon and the data every other one, of captures all."""
    rng = np.random.default_rng(0)
    files = sorted((Path(spoken_to_signed.__file__).parent / "assets" / "fingerspelling_lexicon").glob("*/*.pose"))
    half = slice(0 if tuning else 1, None, 2)
    chosen = [files[i] for i in sorted(rng.choice(len(files), 2 * FILES, replace=False))]
    yield "lexicon", [tracks(read(path)) for path in chosen[half]]
    if data is not None:
        poses = [pose for path in sorted((data / "sign").glob("*/*.npz")) for pose in sequences(path, rng)]
        yield "training data", [tracks(pose) for pose in poses[half]]
    if captures is not None and not tuning:
        yield "captures", [tracks(read(path)) for path in sorted(captures.glob("*.pose"))]


def sequences(path: Path, rng: np.random.Generator) -> Iterator[PoseFile]:
    """Some of a packed file's sequences that show the body and a hand; 25 frames per second are assumed."""
    packed = np.load(path)
    ends = np.cumsum(packed["lens"])
    components = tuple(Component(name, points) for name, points in (
        (BODY, BODY_POINTS), *((HANDS[side], tuple(POINTS[f"{joint}.{side}"][1] for joint in HAND_JOINTS))
                               for side in SIDES)))
    found = 0
    for i in rng.permutation(len(ends)):
        xyz = packed["xyz"][ends[i] - packed["lens"][i]:ends[i]].astype(np.float32) / float(packed["scale"])
        confidence = (xyz != 0).any(-1).astype(np.float32)
        if confidence[:, 11:13].all() and (confidence[:, 33:].mean(0).max() > .5):
            size = np.array([1000 * float(packed["aspect"]), 1000, 1], np.float32)
            yield PoseFile(components, FPS, (xyz * size)[:, None], confidence[:, None], int(size[0]), 1000)
            found += 1
        if found == 2 * PER_SOURCE:
            return


BODY_POINTS = (
    "NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE", "RIGHT_EYE_OUTER",
    "LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT",
    *(f"{side}_{joint}" for joint in ("SHOULDER", "ELBOW", "WRIST", "PINKY", "INDEX", "THUMB", "HIP", "KNEE", "ANKLE",
                                      "HEEL", "FOOT_INDEX") for side in ("LEFT", "RIGHT")))  # yapf: disable


def real(name: str, clips: list[Tracks], skeleton: Skeleton) -> None:
    """The table of errors in the image."""
    print(f"\nReal clips, {name}: {len(clips)} clips, {sum(len(clip.xyz) for clip in clips)} frames\n")
    print("| what | smoothing | in the image: median, p95 | of bones that look at least half as long as they can | in "
          "space, by the file's depth | jumps per 1000 | beyond a limit | ms per frame |\n| --- |" + " ---: |" * 7)
    for smoothing in (0.0, .03, .06):
        measure("points, smoothed only", smoothing, clips, lambda clip, width: (_smoothed(clip, width), None), skeleton)
        for mode in ("anatomical", "follow"):
            measure(mode, smoothing, clips, lambda clip, width, mode=mode: _solved(clip, skeleton, Solving(
                mode, smoothing=width)), skeleton)  # type: ignore[misc]


def measure(name: str, smoothing: float, clips: list[Tracks],
            method: Callable[[Tracks, float], tuple[dict[str, np.ndarray], Motion | None]], skeleton: Skeleton) -> None:
    """A row: how bones look compared with the points as they are in the file."""
    off, long, deep, jumps, past = [], [], [], [], []
    begun = time.process_time()
    found = [method(clip, smoothing) for clip in clips]
    seconds = time.process_time() - begun
    for clip, (bones, motion) in zip(clips, found):
        steady = _smoothed(clip, smoothing)
        for side in SIDES:
            seen = _hand(clip, side)
            if seen is None:
                continue
            points, valid = seen
            off.append(image_degrees(bones[side], points)[valid].ravel())
            deep.append(degrees_between(bones[side], points)[valid].ravel())
            length = np.linalg.norm(points[..., [0, 2]], axis=-1)
            long.append((length >= .5 * np.percentile(length[valid], 90, axis=0))[valid].ravel())
            pairs = valid[1:] & valid[:-1]
            moved, asked = (degrees_between(x[1:], x[:-1])[pairs] for x in (bones[side], steady[side]))
            jumps.append(((moved > JUMP) & (asked < STILL)).ravel())
            if motion is not None:
                past.append(beyond(skeleton, motion, side))
    degrees, which = np.concatenate(off), np.concatenate(long)
    columns = [f"{np.median(some):.1f}, {p95(some):.1f}°" for some in (degrees, degrees[which], np.concatenate(deep))]
    columns.append(f"{1000 * np.concatenate(jumps).mean():.1f}")
    columns.append(f"{np.mean(past):.1%}" if past else "")
    columns.append(f"{1000 * seconds / sum(len(clip.xyz) for clip in clips):.1f}")
    print(f"| {name} | {smoothing:g} s | {' | '.join(columns)} |", flush=True)


def _hand(clip: Tracks, side: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Finger bones `(T, 15, 3)` as in the file, and `(T,)` where the whole hand was seen; None if it never was."""
    columns = [clip.joints.index(f"{joint}.{side}") for joint in HAND_JOINTS if f"{joint}.{side}" in clip.joints]
    if len(columns) < len(HAND_JOINTS) or not clip.seen[:, columns].all(1).any():
        return None
    points = clip.xyz[:, columns]
    return points[:, BEGIN + 1] - points[:, BEGIN], clip.seen[:, columns].all(1)


def _smoothed(clip: Tracks, smoothing: float) -> dict[str, np.ndarray]:
    """Finger bones by side, of points that were only smoothed."""
    steady = replace(clip, xyz=smooth(clip.xyz, clip.seen, smoothing * clip.fps))
    return {side: hand[0] for side in SIDES if (hand := _hand(steady, side)) is not None}


def _solved(clip: Tracks, skeleton: Skeleton, solving: Solving) -> tuple[dict[str, np.ndarray], Motion]:
    """Finger bones by side, of the solved skeleton."""
    motion = solve(clip, skeleton, solving)
    quaternions = {skeleton.bones.index(name): motion.quaternions[:, i] for i, name in enumerate(motion.bones)}
    _, heads, tails = skeleton.posed(quaternions, len(motion.quaternions))
    bones = {side: [skeleton.roles[f"{role}.{side}"] for role in FINGER_ROLES] for side in SIDES}
    return {side: (tails - heads)[:, bones[side]] for side in SIDES}, motion


def image_degrees(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angles between vectors `(..., 3)` as they look from the front: y is depth."""
    (x, z), (u, w) = (np.moveaxis(vectors[..., [0, 2]], -1, 0) for vectors in (one, other))
    return np.degrees(np.abs(np.arctan2(x * w - z * u, x * u + z * w)))


def p95(values: np.ndarray) -> float:
    """The 95th percentile."""
    return float(np.percentile(values, 95))


if __name__ == "__main__":
    main()
