"""`video_to_refined_pose`: a video in, a complete and steady pose out."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pose_diffusion.commands.capture_options import (
    Capture,
    Captured,
    Frames,
    add_capture_options,
    capture_settings,
    capture_video,
    check_target,
)
from pose_diffusion.commands.errors import about, run

if TYPE_CHECKING:
    from pose_diffusion.capture.video import Video

EXAMPLES = """\
examples:
  video_to_refined_pose -i sign.mp4 -o sign.pose
  video_to_refined_pose -i sign.mp4 -o sign.pose --preview both.mp4    and draw both skeletons over the video
  video_to_refined_pose -i sign.mp4 -o sign.pose --raw found.pose      and keep what MediaPipe found
  video_to_refined_pose -i sign.mp4 -o sign.pose --only-masked         fill in what was lost, move nothing else
  video_to_refined_pose -i sign.mp4 -o sign.pose --second-hands        look twice for lost hands
  video_to_refined_pose -i sign.mp4 -o sign.pose --additional-config refine_face_landmarks=true

Any video that FFmpeg reads: phone videos are turned upright, a variable frame rate becomes a constant one. Needs
MediaPipe: pip install "pose-diffusion[mediapipe]". Nothing is downloaded.

Points that were filled in have a confidence between 0 and 1, the lower the less certain they are. A hand that was never
in view is invented: read the confidence. Where nobody was found for more than half a second, the frames stay empty. Of
several people MediaPipe follows one and may go over to another, which is then refined by itself and said: crop the
video to the one you mean.
"""


def main(argv: Sequence[str] | None = None, capture: Capture | None = None) -> int:
    """Run the command; returns the exit code. `capture` stands in for MediaPipe: see `capture_video`."""
    args = _parser().parse_args(argv)
    return run("video_to_refined_pose", lambda: _convert(args, capture))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("video_to_refined_pose", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Estimate the pose of a signer in a video with MediaPipe Holistic, "
                                                 "and repair it: lost hands, lost frames, swapped hands, jitter.",
                                     epilog=EXAMPLES)
    parser.add_argument("-i", "--input", required=True, type=Path, metavar="VIDEO", help="the video")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE", help="the .pose file to write")
    parser.add_argument("--raw", type=Path, metavar="FILE", help="also write the pose as MediaPipe found it")
    parser.add_argument("--preview", type=_mp4, metavar="FILE",
                        help="also draw what was found and what was made of it over the video, side by side (.mp4)")
    add_capture_options(parser)
    return parser


def _mp4(text: str) -> Path:
    if not text.lower().endswith(".mp4"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .mp4")
    return Path(text)


def _convert(args: argparse.Namespace, capture: Capture | None) -> int:
    targets = [path for path in (args.output, args.raw, args.preview) if path]
    for i, path in enumerate(targets):
        with about(path):
            check_target(path, args.input, *targets[:i])
    if args.preview:
        from pose_diffusion.capture.video_preview import check_installed

        with about("--preview"):
            check_installed()
    with about(args.input):
        captured = capture_video(args.input, capture_settings(args), capture, _with_progress)
    from pose_diffusion.capture.people import notes
    from pose_diffusion.files import write_pose

    with about(args.output):
        write_pose(captured.refined, args.output)
    if args.raw:
        with about(args.raw):
            write_pose(captured.raw, args.raw)
    rate = captured.video.note if args.fps is None else ""
    for note in filter(None, (rate, *(f"{args.input}: {note}" for note in notes(captured.raw)))):
        print(f"video_to_refined_pose: note: {note}", file=sys.stderr)
    if args.preview:
        with about(args.preview):
            _draw(captured, args.preview)
    return 0


def _with_progress(frames: Frames, video: Video) -> Frames:
    from tqdm import tqdm

    return tqdm(frames, total=video.frames, unit="frame", desc="MediaPipe", disable=None)  # not in a log file


def _draw(captured: Captured, path: Path) -> None:
    from tqdm import tqdm

    from pose_diffusion.capture.video import read_frames
    from pose_diffusion.capture.video_preview import SIZE, save_video_preview

    frames = tqdm(read_frames(captured.video, longest=SIZE), total=captured.video.frames, unit="frame", desc="preview",
                  disable=None)
    save_video_preview(frames, captured.raw, captured.refined, path)


if __name__ == "__main__":
    sys.exit(main())
