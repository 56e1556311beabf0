"""What the commands for whole folders share: jobs that are done in several processes, can be stopped and resumed."""
from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pose_diffusion.commands.errors import FAILED, CommandError

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

T = TypeVar("T")
R = TypeVar("R")


_stop: Event | None = None  # of a worker: whether the command is being ended


class StoppedError(Exception):
    """Ends a worker's job when the command is interrupted."""


def is_newer(target: Path, source: Path) -> bool:
    """Whether there is a result, made after its source."""
    try:
        return target.is_file() and target.stat().st_mtime >= source.stat().st_mtime
    except OSError:  # no result yet; or no source any more, which reading it will say
        return False


def report(command: str, made: str, total: int, done_before: int, failed: list[str]) -> int:
    """Print the counts and what went wrong; returns the exit code."""
    counts = f"{total - done_before - len(failed)} {made}, {done_before} done before, {len(failed)} failed"
    print("\n".join([counts, *(f"{command}: error: {reason}" for reason in failed)]), file=sys.stderr)
    return FAILED if failed else 0


def in_processes(work: Callable[[T], R], items: Iterable[T], workers: int, advice: str,
                 died: Callable[[T], R] | None = None) -> Generator[R]:
    """What the work gives for each item, as they are finished; close it when it is not read to the end.

    Parameters
    ----------
    work : callable
        Of a module, with arguments that can be sent to a process.
    items : iterable
        Not more of them are asked for than there are workers.
    workers : int
        Processes; 1 is this one.
    advice : str
        What to do when a process dies.
    died : callable, optional
        The result for an item whose process dies, also when it is the only one; the others go on.

    Raises
    ------
    CommandError
        If a process dies, without `died`.
    """
    waiting = iter(items)
    if workers <= 1:
        yield from map(work, waiting)
        return
    while True:
        lost: list[T] = []
        yield from _pooled(work, waiting, workers, lost)
        if not lost:
            return
        if died is None:
            raise CommandError(f"a worker process died, perhaps for want of memory: {advice}; what is done stays")
        for item in lost:  # all that were in hand: the pool does not say which one it was
            again: list[T] = []
            yield from _pooled(work, iter([item]), 1, again)
            if again:
                yield died(item)


def _pooled(work: Callable[[T], R], waiting: Iterator[T], workers: int, lost: list[T]) -> Generator[R]:
    """The same until a process dies; then the items that were in hand are added to `lost`."""
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    context = get_context("spawn")
    stop, threads = context.Event(), max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, context, _start_worker, (threads, stop))
    running: dict[Future[R], T] = {}

    def begin(count: int) -> None:
        for item in islice(waiting, count):
            try:
                running[pool.submit(work, item)] = item
            except BrokenProcessPool:
                lost.append(item)

    try:
        # The workers inherit that Ctrl-C is ignored: it reaches the whole group, and the first process sees to it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        begin(workers)
        signal.signal(signal.SIGINT, before)
        while running:  # no more at a time than there are workers: what is in the pool's queue cannot be called back
            done = wait(running, return_when=FIRST_COMPLETED).done
            finished = [(future, running.pop(future)) for future in done]
            lost += [item for future, item in finished if isinstance(future.exception(), BrokenProcessPool)]
            if not lost:
                begin(len(finished))
            for future, _ in finished:
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield future.result()
    finally:  # after Ctrl-C the jobs in hand come to an end of their own, so that no file is left half
        stop.set()
        pool.shutdown()


def _start_worker(threads: int, stop: Event) -> None:
    global _stop
    _stop = stop
    import torch

    torch.set_num_threads(threads)


def heed_stop(items: Iterable[T]) -> Iterator[T]:
    """The items, until the command is being ended: then a StoppedError. For jobs that take long."""
    for item in items:
        if _stop is not None and _stop.is_set():
            raise StoppedError
        yield item
