"""A worker as its parent sees it: lines in, lines out."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

Event = dict[str, Any]
LAST = ("done", "failed", "cancelled")


class Parent:
    """The other end of a worker's channel."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process, self.id = process, 0
        assert process.stdin is not None
        assert process.stdout is not None
        self.requests: IO[bytes] = process.stdin
        self.events: IO[bytes] = process.stdout

    def send(self, line: bytes) -> None:
        self.requests.write(line)
        self.requests.flush()

    def ask(self, do: str, **request: Any) -> int:
        """Send a request; its id."""
        self.id += 1
        self.send(json.dumps({"id": self.id, "do": do, **request}).encode() + b"\n")
        return self.id

    def cancel(self, id: int) -> None:
        self.send(json.dumps({"id": id, "do": "cancel"}).encode() + b"\n")

    def event(self) -> Event:
        """The next one; every line must be one."""
        return json.loads(self.events.readline())

    def events_of(self, id: int | None) -> list[Event]:
        """All events of a request until it is over; those of others are passed over."""
        out: list[Event] = []
        while not out or out[-1]["event"] not in LAST:
            event = self.event()
            if event.get("id") == id:
                out.append(event)
        return out

    def result(self, do: str, **request: Any) -> Event:
        """The last event of a request."""
        return self.events_of(self.ask(do, **request))[-1]

    def pose(self, do: str, folder: Path, **request: Any) -> bytes:
        """The file that a request made."""
        done = self.result(do, folder=str(folder), **request)
        assert done["event"] == "done", done["message"]
        return Path(done["file"]).read_bytes()


@contextmanager
def worker() -> Iterator[Parent]:
    """A worker whose torch has as many threads as that of the tests, so that results can be compared."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-m", "pose_diffusion.worker"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    with process:
        parent = Parent(process)
        assert parent.event()["event"] == "ready"
        try:
            yield parent
        finally:
            process.kill()


def gone(pid: int, seconds: float) -> bool:
    """Whether a process ends within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":  # ended, and nobody has asked how
            return True
        time.sleep(.01)
    return False
