"""`live_pose`: a camera's or a file's images with both skeletons, and the refined `.pose` of them."""
from __future__ import annotations

import argparse
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from pose_diffusion.commands.errors import FAILED, CommandError, about, run
from pose_diffusion.commands.options import load_model, number

if TYPE_CHECKING:
    import numpy as np
    from pose_format.pose_header import PoseHeader

    from pose_diffusion.capture.live import RefinedHolistic, RefinedResults
    from pose_diffusion.capture.recording import PictureRecording, PoseRecording
    from pose_diffusion.capture.results import Parts
    from pose_diffusion.capture.view import Strip
    from pose_diffusion.capture.webcam import Source, Window

EXAMPLES = """\
examples:
  live_pose -o sign.pose                                   the first camera; q or Esc in the window ends it
  live_pose --camera 1 --mirror -o sign.pose               another camera, shown as a mirror shows it
  live_pose -i sign.mp4 -o sign.pose --raw found.pose      a video; also write what MediaPipe found
  live_pose --headless -o sign.pose                        no window; Ctrl-C ends it
  live_pose -i sign.mp4 --headless --record both.mp4       a video of both skeletons, no window
  live_pose --latency 4                                    less lag, less to go by; nothing is written

Left is what MediaPipe found, right is what was made of it. Magenta is filled in, the paler the less certain it is;
a hand that MediaPipe lost is ringed. The rows below show when: green is seen, magenta is filled in.

The refined skeleton is shown over the image it belongs to, so the picture is LATENCY images late. The .pose has every
image once. It is written on the way (9 kB an image, 14 MB a minute at 25 images per second, for -o and --raw each) and
appears when it is ended. Its frame rate is that of the file or, of a camera, the one measured. Images of a camera that
come while MediaPipe is busy are lost.
"""
WINDOW, LATENCY, PATIENCE = 24, 12, 12  # images; as `RefinedHolistic` has them
TITLE = "live_pose"
SIZE = 640  # pixels along the longer edge of each half of the picture
RATE_FROM, RATE_OVER = 10, 50  # images, over which a rate is measured


@dataclass(frozen=True, eq=False)
class Image:
    """An image whose landmarks are awaited.

    Attributes
    ----------
    time : float
        Seconds since the first.
    size : (int, int)
        Width and height, pixels.
    picture : np.ndarray, optional
        The image, as small as it is shown, if it is.
    """

    time: float
    size: tuple[int, int]
    picture: np.ndarray | None


class Rate:
    """How many come per second, of the last ones."""

    def __init__(self, fps: float):
        self._fps = fps  # until it is known
        self._times: deque[float] = deque(maxlen=RATE_OVER)

    def add(self, time: float) -> float:
        """Count one; returns the rate."""
        self._times.append(time)
        spent = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / spent if len(self._times) >= RATE_FROM and spent > 0 else self._fps


@dataclass(eq=False)
class Session:
    """What came in and where it goes."""

    args: argparse.Namespace
    source: Source
    poses: list[tuple[Path, bool, PoseRecording]]  # where to, whether as MediaPipe found it
    video: PictureRecording | None
    window: Window | None
    strip: Strip
    rate: Rate
    count: int = 0
    last: float = 0.0  # time of the last image
    header: PoseHeader | None = None
    wanted: bool = True  # False: somebody wants it to end

    @property
    def fps(self) -> float:
        """Images per second: of a file what it says, of a camera what was measured."""
        return (self.count - 1) / self.last if self.source.live and self.last > 0 else self.source.fps

    @property
    def shows(self) -> bool:
        """Whether the picture with both skeletons is wanted."""
        return self.video is not None or self.window is not None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    files = _files(args)
    if args.headless and not files:
        parser.error("--headless shows nothing: say with -o, --raw or --record what to write")
    files += [args.input] if args.input else []
    if len({os.path.realpath(path) for path in files}) < len(files):
        parser.error("the files to read and to write must differ")
    return run("live_pose", lambda: _live(args))


def _files(args: argparse.Namespace) -> list[Path]:
    """What is written."""
    return [path for path in (args.output, args.raw, args.record) if path]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("live_pose", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Refine the pose of whoever is in front of a camera, or in a video: "
                                     "see both skeletons, write the .pose.", epilog=EXAMPLES)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", type=number(int, 0, 99), default=0, metavar="N", help="which camera (default: 0)")
    source.add_argument("-i", "--input", type=Path, metavar="FILE", help="a video instead of a camera")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the refined pose (.pose)")
    parser.add_argument("--raw", type=Path, metavar="FILE", help="write what MediaPipe found (.pose)")
    parser.add_argument("--record", type=_mp4, metavar="FILE", help="write the picture with both skeletons (.mp4)")
    parser.add_argument("--headless", action="store_true", help="open no window")
    parser.add_argument("--overlay", action="store_true", help="both skeletons in one picture, in two colours")
    parser.add_argument("--mirror", action="store_true", help="show the picture mirrored; the poses are not")
    parser.add_argument("--latency", type=number(int, 0, 1000), default=LATENCY, metavar="N",
                        help=f"lag in images, 0 for none: the fewer, the less is known of what comes next (default: "
                        f"{LATENCY})")
    parser.add_argument("--window", type=number(int, 2, 4096), metavar="N",
                        help=f"images that are refined together (default: {WINDOW}, or twice the latency)")
    parser.add_argument("--model", metavar="DIR", help="folder of another model (default: the environment variable "
                                                       "POSE_DIFFUSION_MODEL, else the model in this package)")
    return parser


def _mp4(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".mp4":
        raise argparse.ArgumentTypeError(f"{text} does not end in .mp4")
    return path


def _live(args: argparse.Namespace) -> int:
    from pose_diffusion.capture.webcam import check_window, open_camera

    failure = None
    with about(), ExitStack() as stack:
        if not args.headless:
            check_window()
        source = _file(args.input) if args.input else stack.enter_context(open_camera(args.camera))
        holistic = stack.enter_context(_holistic(args, source.fps))
        session = _open(args, source, stack)
        stack.enter_context(_ended_by_signals(session))
        if args.headless and source.live:
            print("live_pose: recording; Ctrl-C ends it", file=sys.stderr)
        images = _refined(session, holistic)
        while True:
            try:
                image, result = next(images)
            except StopIteration:
                break
            except CommandError as error:  # of the source or the refiner: what came before is kept
                failure = error
                break
            _take(session, image, result)
        if not session.count:
            raise failure or CommandError(f"{source.name}: no image came")
        for path, _, recording in session.poses:
            with about(path):
                recording.finish(session.fps)
    return _report(session, failure)


def _report(session: Session, failure: CommandError | None) -> int:
    """Say what there is; returns the exit code."""
    files = ", ".join(map(str, _files(session.args)))
    print(f"{session.count} images, {session.fps:.5g} a second" + (f": {files}" if files else ""))
    if failure is None and session.source.live and session.wanted:
        failure = CommandError(f"{session.source.name}: it stopped giving images")
    if failure is None:
        return 0
    print(f"live_pose: error: {failure}" + (f"; the {session.count} images before are kept" if files else ""),
          file=sys.stderr)
    return FAILED


def _open(args: argparse.Namespace, source: Source, stack: ExitStack) -> Session:
    """Begin everything that is written and shown."""
    from pose_diffusion.capture.recording import record_pictures, record_pose
    from pose_diffusion.capture.view import Strip
    from pose_diffusion.capture.webcam import open_window

    poses, video = [], None
    for path, raw in ((args.output, False), (args.raw, True)):
        if path:
            with about(path):
                poses.append((path, raw, stack.enter_context(record_pose(path))))
    if args.record:
        with about(args.record):
            video = stack.enter_context(record_pictures(args.record))
    window = None if args.headless else stack.enter_context(open_window(TITLE))
    return Session(args, source, poses, video, window, Strip(), Rate(source.fps))


def _file(path: Path) -> Source:
    """Images of a video, without waiting for their time."""
    from pose_diffusion.capture.video import open_video, read_frames
    from pose_diffusion.capture.webcam import Source

    with about(path):
        video = open_video(path)
    if video.note:
        print(f"live_pose: {video.note}", file=sys.stderr)
    images = ((number / video.fps, image) for number, image in enumerate(read_frames(video)))
    return Source(str(path), images, video.fps, live=False)


@contextmanager
def _holistic(args: argparse.Namespace, fps: float) -> Iterator[RefinedHolistic]:
    """MediaPipe with the refinement."""
    model = load_model(args.model, "cpu")
    from pose_diffusion.capture.live import RefinedHolistic
    from pose_diffusion.capture.mediapipe import capture_refiner

    window = args.window or max(WINDOW, 2 * args.latency)
    with RefinedHolistic(window=window, latency=args.latency, patience=min(PATIENCE, window - 1), fps=fps,
                         refiner=capture_refiner(model=model)) as holistic:
        yield holistic


def _refined(session: Session, holistic: RefinedHolistic) -> Iterator[tuple[Image, RefinedResults]]:
    """Each image with its own landmarks, `latency` images after it came; the last ones at the end."""
    from pose_diffusion.capture.view import shrink

    source, rate = session.source, Rate(session.source.fps)
    waiting: deque[Image] = deque()  # at most `latency` and one
    size = None
    with about(source.name):
        for time, image in source.images:
            height, width = image.shape[:2]
            if size not in (None, (width, height)):
                raise ValueError(f"the images' size changes to {width} x {height} after {time:.2f} s: cut it there")
            size = width, height
            waiting.append(Image(time, size, shrink(image, SIZE) if session.shows else None))
            if source.live:
                holistic.fps = rate.add(time)
            result = holistic.process(image)
            if result is not None:
                yield waiting.popleft(), result
            if not session.wanted:
                break
        for result in holistic.flush():
            yield waiting.popleft(), result


def _take(session: Session, image: Image, result: RefinedResults) -> None:
    """Write and show an image's landmarks."""
    from pose_diffusion.capture.results import holistic_header, read_parts

    if session.header is None:
        session.header = holistic_header(*image.size)
    aspect = image.size[0] / image.size[1]
    refined = read_parts(result, aspect)
    raw = read_parts(result.raw, aspect) if session.shows or session.args.raw else {}
    for path, as_found, recording in session.poses:
        with about(path):
            recording.add(session.header, raw if as_found else refined)
    session.count, session.last = session.count + 1, image.time
    if image.picture is not None:
        _show(session, image.picture, image.time, raw, refined)


def _show(session: Session, image: np.ndarray, time: float, raw: Parts, refined: Parts) -> None:
    """Draw both skeletons over the image, and below what happened in the last images; record and show it."""
    from pose_diffusion.capture.view import overlaid, page, side_by_side

    args, lag, rate = session.args, session.args.latency, session.rate.add(perf_counter())
    session.strip.add(raw, refined)
    picture = (overlaid if args.overlay else side_by_side)(image, raw, refined, mirror=args.mirror)
    caption = f"{time:.1f} s   {rate:.0f} images/s   lag {lag} images, {lag / rate:.1f} s"
    picture = page(picture, session.strip, caption + ("   q: end" if session.window else ""))
    if session.video is not None:
        with about(args.record):
            session.video.add(picture, time)
    if session.window is not None and not session.window.show(picture, None if session.source.live else time):
        session.wanted = False


@contextmanager
def _ended_by_signals(session: Session) -> Iterator[None]:
    """Ctrl-C and `kill` end it as q does; the second time at once, without writing."""
    def end(_number: int, _frame: object) -> None:
        if not session.wanted:
            raise KeyboardInterrupt
        session.wanted = False

    heeded = [kind for kind in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(kind) is not signal.SIG_IGN]
    before = [(kind, signal.signal(kind, end)) for kind in heeded]
    try:
        yield
    finally:
        for kind, handler in before:
            signal.signal(kind, handler)


if __name__ == "__main__":
    sys.exit(main())
