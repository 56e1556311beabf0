# SPDX-License-Identifier: GPL-3.0-or-later
"""Pose files of joints of which everything is known, as MediaPipe and pose-format would store them."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from blender_addon.points import BODY, FACE, HANDS, POINTS, other_side
from blender_addon.posefile import Component, PoseFile
from blender_addon.tracks import Tracks

DEPTHS: Mapping[str, float] = {BODY: .2, FACE: 1.0, HANDS["L"]: .75, HANDS["R"]: .75}
NAMES = {name: joint for joint, name in POINTS.items()}


def holistic_file(tracks: Tracks, *, width: int = 640, height: int = 480, scale: float = 300.0,
                  depths: Mapping[str, float] = DEPTHS) -> PoseFile:
    """A file of one person that shows these joints.

    Parameters
    ----------
    tracks : Tracks
        The truth. What it has not seen has confidence 0.
    width, height : int
        Of the image.
    scale : float
        Pixels per metre.
    depths : mapping of str to float
        Of each component: the depth in image widths of a z of 1. A hand's z is relative to its wrist.
    """
    points: dict[str, list[str]] = {name: [] for name in (BODY, FACE, HANDS["L"], HANDS["R"])}
    for joint in tracks.joints:
        component, point = POINTS[joint]
        points[component].append(point)
    components = tuple(Component(name, tuple(names)) for name, names in points.items() if names)
    column = {joint: i for i, joint in enumerate(tracks.joints)}
    order = [NAMES[component.name, point] for component in components for point in component.points]
    xyz = tracks.xyz[:, [column[joint] for joint in order]] * scale
    data = np.stack([xyz[..., 0] + width / 2, height / 2 - xyz[..., 2] + 1.2 * scale, xyz[..., 1]], -1)
    for i, joint in enumerate(order):
        component = POINTS[joint][0]
        if component in HANDS.values():
            data[:, i, 2] -= tracks.xyz[:, column[f"hand.{joint[-1]}"], 1] * scale
        data[:, i, 2] /= width * depths[component]
    seen = tracks.seen[:, [column[joint] for joint in order]]
    return PoseFile(components, tracks.fps, np.where(seen[..., None], data, 0)[:, None].astype(np.float32),
                    seen[:, None].astype(np.float32), width, height)


def flipped(file: PoseFile) -> PoseFile:
    """The file of the mirrored video: the network calls the signer's left hand the right one."""
    names = [(component.name, point) for component in file.components for point in component.points]
    source = [names.index(POINTS[other_side(NAMES[name])]) for name in names]
    data = file.data[:, :, source].copy()
    data[..., 0] = np.where(file.confidence[:, :, source] > 0, file.width - data[..., 0], 0)
    return replace(file, data=data, confidence=file.confidence[:, :, source])


def shuffled(file: PoseFile, seed: int = 0) -> PoseFile:
    """The same with components and points in another order."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *(len(component.points) for component in file.components)])
    components, columns = [], []
    for i in rng.permutation(len(file.components)):
        order = rng.permutation(len(file.components[i].points))
        components.append(replace(file.components[i], points=tuple(file.components[i].points[k] for k in order)))
        columns += [starts[i] + k for k in order]
    return replace(file, components=tuple(components), data=file.data[:, :, columns],
                   confidence=file.confidence[:, :, columns])
