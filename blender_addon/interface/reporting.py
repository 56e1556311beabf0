# SPDX-License-Identifier: GPL-3.0-or-later
"""How operators tell how it went: never by a traceback."""
from __future__ import annotations

from collections.abc import Callable

import bpy

from ..errors import AddonError
from . import messages


def reported(operator: bpy.types.Operator, work: Callable[[], messages.Message]) -> set[str]:
    """Do the work of an operator and report its message; an `AddonError` is reported, too, and cancels the operator."""
    try:
        tell(operator, work())
    except AddonError as error:
        messages.say("ERROR", str(error))
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    return {"FINISHED"}


def tell(operator: bpy.types.Operator, message: messages.Message) -> None:
    """Report a message and its notes."""
    for note in message.notes:
        operator.report({"INFO"} if message.level == "INFO" else {"WARNING"}, note)
    operator.report({"INFO"} if message.level == "WARNING" else {message.level}, message.text)
