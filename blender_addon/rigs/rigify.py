# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated Rigify rigs: their controls are driven, as an animator would.

A control's parents are mechanism bones, which constraints and drivers move. So a motion is solved on a plain skeleton
of the controls, each control copies the rotation of a helper that turns so, and what Blender makes of it is baked.
Facial controls are not driven.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import bpy
import numpy as np

from ..animation import keys
from ..animation.apply import apply_motion, key_frames
from ..animation.evaluation import axes_of, sampled
from ..animation.obstacles import check_editable
from ..animation.space import skeleton_of
from ..animation.state import remember, restore
from ..errors import AddonError
from ..solver.rotations import continuous, to_quaternions
from ..solver.skeleton import FINGERS, SIDES, Motion, Skeleton
from .match import match

BATCH = 200  # frames evaluated at a time: a rig has hundreds of bones
SWITCH = "IK_FK"  # Rigify's property: 1 is FK
# The bone that follows a control and carries the mesh's; for those whose name does not tell.
BEHIND = {"torso": "ORG-spine", "spine_fk.002": "ORG-spine.002", "spine_fk.003": "ORG-spine.003",
          "neck": "ORG-spine.004", "head": "ORG-spine.006"}


def is_generated(armature: bpy.types.Object) -> bool:
    """Whether an armature is a rig that Rigify generated, with arms."""
    bones = armature.data.bones
    return any(f"upper_arm_fk.{side}" in bones and f"ORG-upper_arm.{side}" in bones for side in SIDES)


def skeleton_of_generated(armature: bpy.types.Object, bones: Mapping[str, str]) -> Skeleton:
    """The controls of a generated rig as a plain skeleton: each hangs on the control of the body's next part.

    Parameters
    ----------
    armature : bpy.types.Object
        For which `is_generated` is true.
    bones : mapping of str to str
        Role to control, as in `maps.MAPS["Rigify"]`.

    Raises
    ------
    AddonError
        If a control is not there, or is listed twice.
    """
    whole = skeleton_of(armature, bones)
    roles = [role for role in _parents() if role in bones]  # parents first
    chosen = [whole.roles[role] for role in roles]
    return Skeleton(
        tuple(bones[role] for role in roles), np.array([_parent(role, roles) for role in roles]),
        whole.heads[chosen], whole.tails[chosen], whole.rest[chosen], {role: i for i, role in enumerate(roles)})


def drive_generated(context: bpy.types.Context, armature: bpy.types.Object, motion: Motion, start: float, name: str, *,
                    bones: Mapping[str, str] | None = None) -> bpy.types.Action:
    """Key a motion on a generated rig's controls, in a new action; both arms are switched to FK.

    Parameters and errors are those of `animation.apply.apply_motion`, and:

    Parameters
    ----------
    motion : Motion
        Solved on `skeleton_of_generated(armature, bones)`.
    bones : mapping of str to str, optional
        The same as there; without, they are matched by name.
    """
    check_editable(armature)
    bones = bones or match([bone.name for bone in armature.data.bones], {}).bones
    skeleton = skeleton_of_generated(armature, bones)
    at = {bone: i for i, bone in enumerate(skeleton.bones)}
    if gone := [bone for bone in motion.bones if bone not in at]:
        raise AddonError(f"bone {gone[0]} of {armature.name} is not in its bone map: match its bones again")
    axes, _, _ = skeleton.posed({at[bone]: motion.quaternions[:, i] for i, bone in enumerate(motion.bones)},
                                len(motion.quaternions))
    chosen = _with_between(skeleton, [at[bone] for bone in motion.bones])
    controls = tuple(skeleton.bones[bone] for bone in chosen)
    frames = key_frames(context.scene, motion, start)
    with ExitStack() as undo:
        switches = _to_fk(armature, controls, undo)
        local = _baked(context, armature, controls, axes[:, chosen], frames)
        baked = replace(motion, bones=controls, quaternions=local, notes=(*motion.notes, *_notes(switches, motion)))
        action = apply_motion(context, armature, baked, start=start, name=name, settle=False)
        undo.pop_all()
    slot = keys.ensure_slot(action, armature)
    for bone in switches:
        path = f'{armature.pose.bones[bone].path_from_id()}["{SWITCH}"]'
        keys.write(action, slot, path, frames[:1], np.ones((1, 1)), bone)
    return action


def bones_behind(armature: bpy.types.Object, bones: Mapping[str, str]) -> dict[str, str]:
    """The bones that follow the controls, by FK or IK: what a take is read from."""
    behind = {role: BEHIND.get(control, f"ORG-{control.replace('_fk.', '.')}") for role, control in bones.items()}
    return {role: behind[role] if behind[role] in armature.data.bones else control for role, control in bones.items()}


def _parents() -> dict[str, str | None]:
    """Of each role the one above; parents first."""
    above: dict[str, str | None] = {"hips": None, "spine": "hips", "chest": "spine", "neck": "chest", "head": "neck"}
    for side in SIDES:
        parent = "chest"
        for role in ("shoulder", "upper_arm", "forearm", "hand"):
            above[f"{role}.{side}"], parent = parent, f"{role}.{side}"
        for finger in FINGERS:
            parent = f"hand.{side}"
            for i in (1, 2, 3):
                above[f"{finger}.{i}.{side}"], parent = parent, f"{finger}.{i}.{side}"
    return above


def _parent(role: str, roles: Sequence[str]) -> int:
    """The nearest role above that is there, as an index; -1 without one."""
    above = _parents()
    parent = above[role]
    while parent is not None and parent not in roles:
        parent = above[parent]
    return -1 if parent is None else roles.index(parent)


def _with_between(skeleton: Skeleton, driven: Sequence[int]) -> list[int]:
    """The driven controls and those between two of them: at rest for the solver, though Rigify may turn them (neck)."""
    chosen = set(driven)
    for bone in driven:
        line = [bone]
        while (parent := int(skeleton.parents[line[-1]])) >= 0:
            line.append(parent)
        if above := [i for i, parent in enumerate(line[1:], 1) if parent in driven]:
            chosen.update(line[:above[-1]])
    return sorted(chosen)


def _to_fk(armature: bpy.types.Object, controls: Sequence[str], undo: ExitStack) -> list[str]:
    """Switch the arms of these controls to FK; gives the bones that have the switch."""
    found = []
    for control in controls:
        bone = armature.pose.bones.get(control.replace("upper_arm_fk", "upper_arm_parent"))
        if control.startswith("upper_arm_fk") and bone is not None and SWITCH in bone:
            undo.callback(_switch, armature, bone.name, float(bone[SWITCH]))
            _switch(armature, bone.name, 1.0)
            found.append(bone.name)
    return found


def _switch(armature: bpy.types.Object, bone: str, value: float) -> None:
    armature.pose.bones[bone][SWITCH] = value
    armature.update_tag()  # a custom property does not tell its drivers


def _notes(switches: Sequence[str], motion: Motion) -> Iterator[str]:
    if switches:
        yield "the arms of the rig are switched to FK; an older take made with IK needs its switch (IK-FK) back at 0"
    if motion.shapes:
        yield "Rigify's facial controls are not driven; shape keys of the character's meshes are"


def _baked(context: bpy.types.Context, armature: bpy.types.Object, controls: Sequence[str], axes: np.ndarray,
           frames: np.ndarray) -> np.ndarray:
    """The controls' own rotations `(T, N, 4)` that bring them to axes `(T, N, 3, 3)` in the armature's space.

    The rig's own action is off meanwhile, and everything is put back.
    """
    whole = skeleton_of(armature, {})
    chosen = np.array([whole.bones.index(control) for control in controls])
    above = whole.parents[chosen]
    state, (action, _), position = remember(armature), keys.assigned(armature), armature.data.pose_position
    local = np.empty(axes.shape)
    try:
        keys.assign(armature, None, None)
        armature.data.pose_position = "POSE"
        with _helpers(armature, controls, axes, frames):
            for i in range(0, len(frames), BATCH):
                seen = axes_of(sampled(context, armature, frames[i:i + BATCH]))
                base = seen[:, above] @ whole.rest[above].swapaxes(-1, -2) @ whole.rest[chosen]
                local[i:i + BATCH] = base.swapaxes(-1, -2) @ seen[:, chosen]
    finally:
        armature.data.pose_position = position
        restore(context, armature, state, action)
    return continuous(to_quaternions(local))


@contextmanager
def _helpers(armature: bpy.types.Object, controls: Sequence[str], axes: np.ndarray,
             frames: np.ndarray) -> Iterator[None]:
    """Let each control copy the rotation of an empty that turns as the control should."""
    made: list[tuple[bpy.types.Object, bpy.types.Action]] = []
    copies: list[tuple[bpy.types.PoseBone, bpy.types.Constraint]] = []
    try:
        for control, turns in zip(controls, axes.swapaxes(0, 1)):
            helper, action = bpy.data.objects.new(control, None), bpy.data.actions.new(control)
            made.append((helper, action))
            helper.rotation_mode = "QUATERNION"
            slot = keys.ensure_slot(action, helper)
            keys.write(action, slot, "rotation_quaternion", frames, continuous(to_quaternions(turns)))
            keys.assign(helper, action, slot)
            bone = armature.pose.bones[control]
            copy = bone.constraints.new("COPY_ROTATION")
            copies.append((bone, copy))
            copy.target, copy.target_space, copy.owner_space = helper, "WORLD", "POSE"
        yield
    finally:
        for bone, copy in copies:
            bone.constraints.remove(copy)
        for helper, action in made:
            bpy.data.objects.remove(helper)
            bpy.data.actions.remove(action)
