"""`python -m pose_diffusion.worker`."""
from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence

from pose_diffusion import __version__
from pose_diffusion.worker import PROTOCOL
from pose_diffusion.worker.channel import MAX_REQUEST, Channel
from pose_diffusion.worker.inbox import Inbox
from pose_diffusion.worker.requests import INPUTS, Cancel, RequestError, read_request
from pose_diffusion.worker.work import Work

DESCRIPTION = """\
Generate, refine and join poses for another program, such as Blender.

It reads one JSON object a line from stdin, and writes one a line to stdout; poses go through .pose files. Models stay
in memory between requests. It ends when stdin is closed.
"""
EXAMPLES = f"""\
what it does: {', '.join(INPUTS)}; cancel

examples, each one line of stdin:
  {{"id": 1, "do": "info"}}
  {{"id": 2, "do": "generate", "arguments": {{"text": "hello", "steps": 8, "seed": 3}}, "folder": "/tmp"}}
  {{"id": 3, "do": "refine", "inputs": {{"pose": "/home/me/take.pose"}}, "folder": "/tmp", "preview": true}}
  {{"id": 3, "do": "cancel"}}

docs/worker.md describes requests and events.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until stdin is closed."""
    parser = argparse.ArgumentParser("python -m pose_diffusion.worker", description=DESCRIPTION, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent, in the same terminal, decides what Ctrl-C means
    faulthandler.enable()  # a crash in C leaves a trace on stderr
    channel, inbox = Channel(), Inbox()
    channel.send("ready", protocol=PROTOCOL, version=__version__)
    threading.Thread(target=listen, args=(channel, inbox), name="listen", daemon=True).start()
    work = Work(channel, inbox)
    while True:
        work.next()


def listen(channel: Channel, inbox: Inbox) -> None:
    """Take requests in, also while one is worked on; end the process with the parent's end of the channel."""
    code = 1
    try:
        for line in channel.lines():
            try:
                if line is None:
                    raise RequestError(f"the line is longer than {MAX_REQUEST} bytes")
                if line.strip():
                    take(line, channel, inbox)
            except RequestError as error:
                channel.send("failed", id=error.id, message=str(error), details="")
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)  # at once, also in the middle of a step: nobody is there to wait for it


def take(line: bytes, channel: Channel, inbox: Inbox) -> None:
    """Take one request in."""
    request = read_request(line)
    if isinstance(request, Cancel):
        if inbox.cancel(request.id):
            channel.send("cancelled", id=request.id)
        return
    if inbox.uses(request.id):
        raise RequestError(f"the id {request.id!r} is that of a request that is not finished: choose another")
    if inbox.busy:
        channel.send("queued", id=request.id)
    inbox.add(request)


if __name__ == "__main__":
    sys.exit(main())
