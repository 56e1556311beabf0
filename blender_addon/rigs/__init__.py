# SPDX-License-Identifier: GPL-3.0-or-later
"""Armatures: which bone plays which role, and the signer that comes with the add-on."""
from __future__ import annotations
