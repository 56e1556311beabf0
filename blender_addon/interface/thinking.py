# SPDX-License-Identifier: GPL-3.0-or-later
"""Long calculations beside Blender, in a thread. They must not touch Blender's data. No Blender in it."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Thought(Generic[T]):
    """A calculation that has begun. It cannot be stopped, but nobody needs to wait for it.

    Parameters
    ----------
    work : callable
        Without arguments.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._think, name="pose_diffusion", daemon=True)
        self._thread.start()

    def _think(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 it is raised again where the result is asked for
            self._errors.append(error)

    @property
    def done(self) -> bool:
        """Whether there is a result, or an error."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Until it is done."""
        self._thread.join()

    def result(self) -> T:
        """What the work returned, waited for; what it raised is raised."""
        self._thread.join()
        if self._errors:
            raise self._errors[0]
        return self._results[0]
