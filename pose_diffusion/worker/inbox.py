"""Requests that wait for the main thread, and what is to be given up."""
from __future__ import annotations

import threading
from collections import deque

from pose_diffusion.worker.requests import Id, Request


class Inbox:
    """Filled by the thread that reads, emptied by the one that works."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._given_up = False

    def uses(self, id: Id) -> bool:
        """Whether a request of this id waits or is worked on."""
        with self._changed:
            return any(one.id == id for one in self._all())

    @property
    def busy(self) -> bool:
        """Whether a request that comes now has to wait."""
        with self._changed:
            return bool(self._all())

    def add(self, request: Request) -> None:
        """Let a request wait for its turn."""
        with self._changed:
            self._waiting.append(request)
            self._changed.notify()

    def cancel(self, id: Id) -> bool:
        """Give up a request. True if it had not begun, so that it never will; what runs sees it by `given_up`."""
        with self._changed:
            if self._current is not None and self._current.id == id:
                self._given_up = True
            for request in self._waiting:
                if request.id == id:
                    self._waiting.remove(request)
                    return True
            return False

    def next(self) -> Request:
        """The next request, when there is one."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting))
            self._current, self._given_up = self._waiting.popleft(), False
            return self._current

    def finish(self) -> None:
        """The current request is over: its id may be used again."""
        with self._changed:
            self._current = None

    @property
    def given_up(self) -> bool:
        """Whether the current request is to be given up."""
        with self._changed:
            return self._given_up

    def _all(self) -> list[Request]:
        return [*([self._current] if self._current else []), *self._waiting]
