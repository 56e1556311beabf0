"""The private channel: one JSON object a line, on copies of stdin and stdout that nothing else can reach."""
from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

MAX_REQUEST = 1 << 20  # bytes of a line
READ = 1 << 16


class Channel:
    """Lines from and to the parent.

    Descriptors 0 and 1 are turned away from it first: what a library reads is empty, and what it prints, in C, too,
    goes to stderr.
    """

    def __init__(self) -> None:
        self._requests, self._events = os.dup(0), os.dup(1)  # copies are not passed on to child processes
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self._lock = threading.Lock()

    def send(self, event: str, **fields: Any) -> None:
        """Send an event, from any thread. Without a parent that reads it, this process ends."""
        line = json.dumps({"event": event, **fields}) + "\n"  # ASCII, whatever the text
        with self._lock:
            left = memoryview(line.encode("ascii"))
            try:
                while left:
                    left = left[os.write(self._events, left):]
            except OSError:  # nobody is there any more, so nobody could be told
                os._exit(1)

    def lines(self) -> Iterator[bytes | None]:
        """Lines until the parent closes its end; None for one that is longer than allowed."""
        rest, too_long = b"", False
        while chunk := os.read(self._requests, READ):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield None if too_long or len(line) > MAX_REQUEST else line
                too_long = False
            if len(rest) > MAX_REQUEST:
                rest, too_long = b"", True
