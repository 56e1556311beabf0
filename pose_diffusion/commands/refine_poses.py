"""`refine_poses`: a folder of files, thousands of them, in one go; it can be stopped and resumed."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pose_diffusion.commands.errors import EXPECTED, FAILED, CommandError, describe, run
from pose_diffusion.commands.folders import in_processes, is_newer, report
from pose_diffusion.commands.options import add_refine_options, load_model, number, refine_settings

if TYPE_CHECKING:
    from pose_format import Pose

    from pose_diffusion.diffusion.model import PoseDiffusion

SUFFIX = ".refined.pose"
BATCH_BYTES = 64 * 2**20  # a batch of hour-long files would not fit into memory

EXAMPLES = f"""\
examples:
  refine_poses -d poses                              writes poses/a{SUFFIX} beside each poses/a.pose
  refine_poses -d poses -r -o refined                the same tree of folders again below refined/
  refine_poses -d poses -r -o refined --num-workers 8

Run the same command again to go on where it stopped: a file whose result is there and newer is skipped. Delete the
results to have them made again. A file that cannot be refined does not stop the others; all such files are listed at
the end, and the exit code is then {FAILED}. The input files are never changed.
"""


class Job(NamedTuple):
    """A file to read and a file to write."""

    source: Path
    target: Path


Outcome = tuple[Job, str]  # the second is what went wrong, or empty


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    args = _parser().parse_args(argv)
    return run("refine_poses", lambda: _refine_all(args))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("refine_poses", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Repair all .pose files of a folder.", epilog=EXAMPLES)
    parser.add_argument("-d", "--directory", required=True, type=Path, metavar="DIR", help="the folder of .pose files")
    parser.add_argument("-r", "--recursive", action="store_true", help="also the folders within it")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help=f"the folder for the results (default: beside each file, named *{SUFFIX})")
    parser.add_argument("--num-workers", type=number(int, 1, 1024), default=1, metavar="N",
                        help="processes (default: 1)")
    parser.add_argument("--batch", type=number(int, 1, 4096), default=16, metavar="N",
                        help="files refined together (default: 16)")
    add_refine_options(parser)
    return parser


def _refine_all(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    jobs = find_jobs(args.directory, args.recursive, args.output)
    todo = [job for job in jobs if not is_newer(job.target, job.source)]
    failed: list[str] = []
    if todo:
        load_model(args.model, args.device)  # what is wrong with the model is no fault of the files
        work = partial(refine_files, settings=refine_settings(args), model=args.model)
        advice = "try again with a smaller --num-workers or --batch"
        with tqdm(total=len(todo), unit="file") as progress:
            for outcomes in in_processes(work, _batches(todo, args.batch), args.num_workers, advice):
                progress.update(len(outcomes))
                failed += [reason for _, reason in outcomes if reason]
    return report("refine_poses", "refined", len(jobs), len(jobs) - len(todo), failed)


def find_jobs(directory: Path, recursive: bool, output: Path | None) -> list[Job]:
    """The files to refine and where the results go, in the order of their names.

    Raises
    ------
    CommandError
        If there is no such folder, no file in it, or the results would overwrite the files.
    """
    if not directory.is_dir():
        why = "not a folder; use refine_pose for a file" if directory.exists() else "no such folder"
        raise CommandError(f"{directory}: {why}")
    if output and output.resolve() == directory.resolve():
        raise CommandError(f"{output}: the results would overwrite the files; choose another folder for -o")
    sources = sorted(directory.glob("**/*.pose" if recursive else "*.pose"))
    if output is None:
        sources = [s for s in sources if not s.name.endswith(SUFFIX)]
        jobs = [Job(s, s.with_name(s.name[:-len(".pose")] + SUFFIX)) for s in sources]
    else:  # the results may lie below the folder, and are no input of the next run
        sources = [s for s in sources if output.resolve() not in s.resolve().parents]
        jobs = [Job(s, output / s.relative_to(directory)) for s in sources]
    if not jobs:
        hint = "" if recursive else "; -r also looks in the folders within"
        raise CommandError(f"{directory}: no .pose files here{hint}")
    return jobs


def _size(job: Job) -> int:
    return job.source.stat().st_size if job.source.is_file() else 0


def _batches(jobs: Iterable[Job], count: int) -> Iterator[list[Job]]:
    batch: list[Job] = []
    size = 0
    for job in jobs:
        if batch and (len(batch) == count or size + _size(job) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += _size(job)
    if batch:
        yield batch


def refine_files(jobs: list[Job], settings: dict[str, Any], model: str | None) -> list[Outcome]:
    """Refine some files together; each that fails is reported and does not stop the others."""
    from pose_diffusion.files import read_pose

    poses: dict[Job, Pose] = {}
    failed: list[Outcome] = []
    for job in jobs:
        try:
            poses[job] = read_pose(job.source)
        except EXPECTED as error:
            failed.append((job, describe(error, job.source)))
    if not poses:
        return failed
    return failed + _refine_and_write(poses, settings, load_model(model, settings["device"]))  # loaded once a process


def _refine_and_write(poses: dict[Job, Pose], settings: dict[str, Any], model: PoseDiffusion) -> list[Outcome]:
    from pose_diffusion import refine_many
    from pose_diffusion.files import write_pose

    try:
        refined = refine_many(list(poses.values()), model=model, **settings)
    except EXPECTED as error:
        if len(poses) == 1:
            return [(job, describe(error, job.source)) for job in poses]
        # One of them is to blame: find it.
        return [outcome for job in poses for outcome in _refine_and_write({job: poses[job]}, settings, model)]
    outcomes = []
    for job, pose in zip(poses, refined):
        try:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            write_pose(pose, job.target)
            outcomes.append((job, ""))
        except EXPECTED as error:
            outcomes.append((job, describe(error, job.target)))
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
