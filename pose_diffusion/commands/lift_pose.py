"""`lift_pose`: a file with 2D keypoints in, bodies in 3D out."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pose_diffusion.commands.capture_options import check_target
from pose_diffusion.commands.errors import about, run
from pose_diffusion.commands.options import number

if TYPE_CHECKING:
    from pose_diffusion.tasks.camera_spec import CameraSpec

EXAMPLES = """\
examples:
  lift_pose -i walk.pose -o walk3d.pose                               one plausible motion in 3D, in metres
  lift_pose -i walk.pose -o walk3d.npz --hypotheses 50                many of them, as arrays
  lift_pose -i walk.pose -o walk3d.pose --preview walk.gif            and a picture from all sides
  lift_pose -i walk.pose -o walk3d.pose --camera 60deg                if the camera's field of view is known
  lift_pose -i walk.pose -o walk3d.pose --npz all.npz --hypotheses 10 the first as .pose, all of them as .npz

The input has a body of MediaPipe, OpenPose, AlphaPose or COCO-WholeBody in pixels. Nothing is downloaded.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run("lift_pose", lambda: _lift(_parser().parse_args(argv)))  # a camera takes torch, and time, to read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("lift_pose", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Lift 2D keypoints to bodies in 3D, in metres.", epilog=EXAMPLES)
    parser.add_argument("-i", "--input", required=True, type=Path, metavar="FILE", help="the .pose file to lift")
    parser.add_argument("-o", "--output", required=True, type=_ending(".pose", ".npz"), metavar="FILE",
                        help="where to write the result: .pose (the first hypothesis) or .npz (all)")
    parser.add_argument("--npz", type=_ending(".npz"), metavar="FILE", help="also write all hypotheses as arrays")
    parser.add_argument("--preview", type=_ending(".gif", ".mp4"), metavar="FILE",
                        help="also draw hypotheses from all sides (.gif or .mp4)")
    group = parser.add_argument_group("what is known")
    group.add_argument("--camera", type=_camera, metavar="CAMERA",
                       help="focal length in pixels (1200), field of view of the picture's longer side (60deg), or a "
                            "JSON file with K, distortion, R and t (default: it is estimated)")
    group.add_argument("--noise", type=number(float, .01, 1000), metavar="PX",
                       help="how far detected joints are off, in pixels (default: 1 %% of the person's height)")
    group.add_argument("--person", type=number(int, 0, 10**6), default=0, metavar="N",
                       help="which of several people, from 0 (default: 0)")
    group = parser.add_argument_group("how to lift")
    group.add_argument("--hypotheses", type=number(int, 1, 10_000), default=1, metavar="N",
                       help="how many motions that agree with what was seen (default: 1)")
    group.add_argument("--mode", choices=("both", "energy", "conditioned"), default="both",
                       help="a prior guided by an energy, a network told of x and y, or both (default: both)")
    group.add_argument("--steps", type=number(int, 1, 1000), default=8, metavar="N",
                       help="1 gives the mean of what is possible, calm and one only; more give samples (default: 8)")
    group.add_argument("--energy-scale", type=number(float, 0, 1000), metavar="X",
                       help="weight of the picture in the energy; more makes hypotheses agree more with it, and less "
                            "differ (default: the mode's own)")
    group.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=0, metavar="N",
                       help="the same seed gives the same result (default: 0)")
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps, ... (default: cpu)")
    group.add_argument("--model", metavar="DIR", help="folder of another model (default: the environment variable "
                                                      "POSE_DIFFUSION_BODY_MODEL, else the model in this package)")
    return parser


def _ending(*endings: str) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix.lower() not in endings:
            raise argparse.ArgumentTypeError(f"{text} does not end in {' or '.join(endings)}")
        return path

    return parse


def _camera(text: str) -> CameraSpec:
    from pose_diffusion.tasks.camera_spec import CameraSpec

    try:
        return CameraSpec.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _lift(args: argparse.Namespace) -> int:
    from pose_diffusion.files import read_pose, write_pose

    if args.preview:
        from pose_diffusion.preview import check_installed

        with about("--preview"):
            check_installed()  # before the work, not after it
    targets = [path for path in (args.output, args.npz, args.preview) if path]
    for i, path in enumerate(targets):
        with about(path):
            check_target(path, args.input, *targets[:i])
    with about(args.input):
        pose = read_pose(args.input, layout=None)
    from pose_diffusion.tasks.detections import picture_size
    from pose_diffusion.tasks.lift import lift, load_body_model
    from pose_diffusion.tasks.lifted import lifted_pose, save_lifted

    if args.camera is not None:
        with about(args.input):
            size = picture_size(pose)
        with about(args.camera.file or "--camera"):
            args.camera.camera(size)
    with about():
        model = load_body_model(args.model, args.device)
    with about(args.input):
        lifted = lift(pose, hypotheses=args.hypotheses, camera=args.camera, person=args.person, steps=args.steps,
                      mode=args.mode, noise_px=args.noise, energy_scale=args.energy_scale, seed=args.seed, model=model)
    if args.steps == 1 and args.hypotheses > 1:
        print("with --steps 1 all hypotheses are their mean: they differ in the camera only", file=sys.stderr)
    if (people := pose.body.data.shape[1]) > 1:
        print(f"{args.input} has {people} people: person {args.person} was lifted", file=sys.stderr)
    for path in filter(None, (args.output, args.npz)):
        with about(path):
            if path.suffix.lower() == ".npz":
                save_lifted(lifted, path)
            else:
                write_pose(lifted_pose(pose, lifted, person=args.person), path)
    if args.preview:
        from pose_diffusion.preview_turntable import save_lift_preview

        with about(args.preview):
            start, end = save_lift_preview(pose, lifted, args.preview, person=args.person)
        if (seconds := len(pose.body.data) / pose.body.fps) > end - start:
            print(f"{args.preview} shows {start:.1f} to {end:.1f} s of {seconds:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
