# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that are shown to the user."""
from __future__ import annotations


class AddonError(ValueError):
    """One line for the user: what is wrong, with which file or object, and what to do."""
