"""`videos_to_refined_poses`: a folder of videos in, a folder of refined poses out; it can be stopped and resumed."""
from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pose_diffusion.commands.capture_options import (
    Capture,
    CaptureSettings,
    Frames,
    add_capture_options,
    capture_settings,
    capture_video,
)
from pose_diffusion.commands.errors import EXPECTED, FAILED, CommandError, about, describe, run
from pose_diffusion.commands.folders import heed_stop, in_processes, is_newer, report
from pose_diffusion.commands.options import load_model, number

if TYPE_CHECKING:
    from pose_diffusion.capture.video import Video

NAME, SINGLE = "videos_to_refined_poses", "video_to_refined_pose"
SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".flv", ".wmv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".3gp")

EXAMPLES = f"""\
examples:
  {NAME} -d videos                           writes videos/a.pose beside each videos/a.mp4
  {NAME} -d videos -r -o poses               the same tree of folders again below poses/
  {NAME} -d videos -r -o poses --raw found   and what MediaPipe found, below found/
  {NAME} -d videos -r -o poses --workers 4   four videos at a time
  {NAME} -d videos --keep-video-suffixes     a.mp4.pose beside a.mp4, as videos_to_poses does

Run the same command again to go on where it stopped: a video whose .pose is there, whole and newer is skipped, whoever
made it. A video that cannot be read does not stop the others; all such videos are listed at the end, and the exit code
is then {FAILED}. Ctrl-C leaves no half files. The videos are never changed. A process needs about 1 GB of memory, and
several for hours of video.

{SINGLE} does one video and can draw it; its --help says what comes out.
"""


class Job(NamedTuple):
    """A video to read and the poses to write: refined, and, where wanted, as it was found."""

    source: Path
    target: Path
    raw: Path | None


class Done(NamedTuple):
    """What became of a video."""

    job: Job
    before: bool = False  # a previous run had done it
    error: str = ""
    notes: tuple[str, ...] = ()


def main(argv: Sequence[str] | None = None, capture: Capture | None = None) -> int:
    """Run the command; returns the exit code. `capture` stands in for MediaPipe: see `capture_video`."""
    args = _parser().parse_args(argv)
    return run(NAME, lambda: _convert_all(args, capture))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(NAME, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES,
                                     description="Estimate the poses of all videos of a folder with MediaPipe "
                                                 "Holistic, and repair them.")
    parser.add_argument("-d", "--directory", required=True, type=Path, metavar="DIR", help="the folder of videos")
    parser.add_argument("-r", "--recursive", action="store_true", help="also the folders within it")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help="the folder for the poses (default: beside each video)")
    parser.add_argument("--raw", type=Path, metavar="DIR",
                        help="a folder for the poses as MediaPipe found them (default: they are not kept)")
    parser.add_argument("--keep-video-suffixes", action="store_true",
                        help="foo.mp4 becomes foo.mp4.pose, not foo.pose; needed for foo.mp4 beside foo.webm")
    parser.add_argument("--video-suffixes", nargs="+", type=_suffix, default=SUFFIXES, metavar=".EXT",
                        help=f"endings of videos, in capitals as well (default: {' '.join(SUFFIXES)})")
    parser.add_argument("--workers", "--num-workers", type=number(int, 1, 1024), default=1, metavar="N",
                        help="processes (default: 1)")
    add_capture_options(parser)
    return parser


def _suffix(text: str) -> str:
    return f".{text.removeprefix('.').lower()}"


def _convert_all(args: argparse.Namespace, capture: Capture | None) -> int:
    jobs = find_videos(args.directory, args.recursive, args.output, args.raw, args.keep_video_suffixes,
                       args.video_suffixes)
    settings = capture_settings(args)
    done: list[Done] = []
    if not all(_is_done(job) for job in jobs):
        _check_setup(settings, capture)
    from tqdm import tqdm

    work = partial(convert_video, settings=settings, capture=capture, progress=args.workers <= 1)
    results = in_processes(work, jobs, args.workers, "try again with a smaller --workers", _died)
    with closing(results), tqdm(total=len(jobs), unit="video") as progress:
        for result in results:
            progress.update()
            done.append(result)
    for text in sorted(note for result in done for note in result.notes):
        print(f"{NAME}: note: {text}", file=sys.stderr)
    return report(NAME, "captured", len(jobs), sum(result.before for result in done),
                  sorted(result.error for result in done if result.error))


def find_videos(directory: Path, recursive: bool, output: Path | None, raw: Path | None, keep_suffixes: bool,
                suffixes: Sequence[str] = SUFFIXES) -> list[Job]:
    """The videos and where their poses go, in the order of their names.

    Raises
    ------
    CommandError
        If there is no such folder, no video in it, or two videos would be written to one file.
    """
    if not directory.is_dir():
        why = f"not a folder; use {SINGLE} for a video" if directory.exists() else "no such folder"
        raise CommandError(f"{directory}: {why}")
    if raw and raw.resolve() == (output or directory).resolve():
        raise CommandError(f"{raw}: the poses as they were found would overwrite the refined ones; choose another "
                           "folder for --raw")
    sources = sorted(path for path in directory.glob("**/*" if recursive else "*")
                     if path.suffix.lower() in suffixes and not path.is_dir())
    jobs = []
    for source in sources:
        name = source.relative_to(directory)
        name = name.with_name(name.name + ".pose") if keep_suffixes else name.with_suffix(".pose")
        jobs.append(Job(source, (output or directory) / name, raw / name if raw else None))
    if not jobs:
        hint = "" if recursive else "; -r also looks in the folders within"
        raise CommandError(f"{directory}: no videos here ({' '.join(suffixes)}){hint}")
    counts = Counter(job.target for job in jobs)
    if twice := [str(job.source) for job in jobs if counts[job.target] > 1]:
        more = f" and {len(twice) - 2} more" if len(twice) > 2 else ""
        raise CommandError(f"{twice[0]}: would be written to the same file as {twice[1]}{more}; use "
                           "--keep-video-suffixes")
    return jobs


def _is_done(job: Job) -> bool:
    """Whether there are results; whether they are whole is found out when they are read."""
    return all(is_newer(path, job.source) for path in (job.target, job.raw) if path)


def _check_setup(settings: CaptureSettings, capture: Capture | None) -> None:
    """An error if no video could be done, for which no video is to blame."""
    from pose_diffusion.capture.landmarkers import kinds_of
    from pose_diffusion.capture.mediapipe import legacy_holistic

    if capture is None:
        with about("--task" if settings.task else "--additional-config" if settings.config else "MediaPipe"):
            if settings.task:
                kinds_of(settings.task)
            else:
                legacy_holistic(settings.config)
    load_model(settings.model, settings.refine["device"])


def convert_video(job: Job, settings: CaptureSettings, capture: Capture | None, progress: bool) -> Done:
    """Capture one video and write its poses, unless they are there and whole; what goes wrong is reported.

    Parameters
    ----------
    settings, capture
        As in `capture_video`.
    progress : bool
        Show how far it is.
    """
    from pose_diffusion.files import write_pose

    if _is_done(job) and _is_whole(job):
        return Done(job, before=True)
    subject: Path | None = job.source
    try:
        captured = capture_video(job.source, settings, capture, partial(_shown, progress=progress))
        from pose_diffusion.capture.people import notes

        rate = captured.video.note if settings.fps is None else ""
        remarks = tuple(filter(None, (rate, *(f"{job.source}: {note}" for note in notes(captured.raw)))))
        # The refined pose is written last: where it is, all is there.
        for subject, pose in ((job.raw, captured.raw), (job.target, captured.refined)):
            if subject:
                subject.parent.mkdir(parents=True, exist_ok=True)
                write_pose(pose, subject)
    except EXPECTED as error:
        return Done(job, error=describe(error, subject or job.source))
    return Done(job, notes=remarks)


def _died(job: Job) -> Done:
    return Done(job, error=f"{job.source}: its process died, perhaps for want of memory: cut it into parts")


def _is_whole(job: Job) -> bool:
    from pose_diffusion.files import PoseFileError, read_pose

    try:
        for path in filter(None, (job.target, job.raw)):
            read_pose(path)
    except PoseFileError:
        return False
    return True


def _shown(frames: Frames, video: Video, progress: bool) -> Frames:
    """The frames, with a bar of their own, until the command is interrupted."""
    from tqdm import tqdm

    return heed_stop(tqdm(frames, total=video.frames, unit="frame", desc=Path(video.path).name, position=1,
                          leave=False, disable=None if progress else True))


if __name__ == "__main__":
    sys.exit(main())
