# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are saved in the .blend file: those of the scene, and the bone map of an armature.

Defaults and limits of the sampler are those of the Python package; a test compares them.
"""
from __future__ import annotations

from collections.abc import Iterator

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..solver.solve import Solving
from . import known, model_texts

MOST_STEPS = 1000
MOST_SEED = 2**31 - 1
LONGEST = 30.0  # seconds, of what is generated at once
LONGEST_TRANSITION = 60.0
USUAL = Solving()
OVERRIDABLE = {"LIBRARY_OVERRIDABLE"}  # of an armature that is linked from another file

NOTATIONS = (
    ("AUTO", "Found out", "Look at the text and see"),
    ("words", "Words", "A word or a gloss, such as: hello"),
    ("signwriting", "SignWriting", "One sign as FSW (M507x507S15a20492x477) or SWU"),
    ("hamnosys", "HamNoSys", "Symbols of HamNoSys"),
    ("picture", "SignWriting, drawn", "SignWriting that the model sees as a picture, for a model trained so"),
)
LENGTHS = (
    ("PREDICTED", "As long as it takes", "The model says how long the text takes to sign"),
    ("SECONDS", "Seconds", "The length you give"),
)
FIRST_POSES = (
    ("NONE", "Average signer", "Begin with whatever pose fits the text"),
    ("ARMATURE", "Armature, now", "Begin in the pose that the armature has at the current frame"),
    ("FILE", "File", "Begin with the first frame of a .pose file"),
)
WHAT = (
    ("LEFT_HAND", "Left hand", "The signer's left hand"),
    ("RIGHT_HAND", "Right hand", "The signer's right hand"),
    ("BOTH_HANDS", "Both hands", "Both hands; the arms stay"),
    ("LEFT_ARM", "Left arm and hand", "The signer's left hand, and the arm that carries it"),
    ("RIGHT_ARM", "Right arm and hand", "The signer's right hand, and the arm that carries it"),
    ("ALL", "Everything", "Body and both hands"),
)
RANGES = (
    ("TAKE", "Whole take", "From the first to the last key of the armature's action"),
    ("KEYS", "Selected keys", "From the first to the last selected key of the armature's action"),
    ("PREVIEW", "Preview range", "The preview range of the timeline"),
    ("SCENE", "Scene", "From the start to the end of the scene"),
    ("CUSTOM", "Frames", "The frames you give"),
)
REFINED = (
    ("TAKE", "Take", "What the armature does now, also by hand. Only what the model changes is changed"),
    ("FILE", "Loaded file", "The .pose file that was loaded last onto it: for captures that shake or lose hands"),
)
BEGINNINGS = (
    ("SCENE", "Start of the scene", "New takes begin at the first frame of the scene"),
    ("CURRENT", "Current frame", "New takes begin at the current frame"),
)
MODES = (
    ("anatomical", "Anatomical", "Joints bend only as far as joints can, and noise is smoothed"),
    ("follow", "Follow points", "Bones point exactly where the keypoints are, even if no joint can"),
)


def _texts(settings: PoseDiffusionScene, context: bpy.types.Context, edit_text: str) -> Iterator[tuple[str, str]]:
    """Texts that the model was trained on, in the language chosen."""
    model_texts.suggest(context)
    return known.suggested_texts(edit_text, known.code_of(settings.language))


def _languages(settings: PoseDiffusionScene, context: bpy.types.Context, edit_text: str) -> Iterator[tuple[str, str]]:
    """Signed languages."""
    return known.suggested_languages(edit_text)


class PoseDiffusionScene(bpy.types.PropertyGroup):
    """`Scene.pose_diffusion`."""

    bl_idname = "POSEDIFFUSION_PG_scene"

    text: StringProperty(
        name="Text", search=_texts, search_options={"SUGGESTION"}, maxlen=2000, options={"TEXTEDIT_UPDATE"},
        description="What to sign: a word, SignWriting or HamNoSys. Words that the model was not trained on are a "
                    "guess, and it will say so")
    notation: EnumProperty(name="Notation", items=NOTATIONS, description="How the text is written")
    language: StringProperty(
        name="Language", default=known.shown("und"), search=_languages, search_options={"SUGGESTION"}, maxlen=60,
        description="Signed language: its code (ISO 639-3), or one of those that are suggested. any: the one in which "
                    "the model knows the text")
    steps: IntProperty(
        name="Steps", default=8, min=1, max=MOST_STEPS, soft_max=50,
        description="How often the network runs. 1 is the mean of all ways to sign it; 8 are enough for a sample; more "
                    "take longer")
    guidance: FloatProperty(
        name="Guidance", default=1.5, min=0, soft_max=5, step=10, precision=2,
        description="How closely the text is followed: 0 ignores it, 1 is as trained, above 1 exaggerates")
    temperature: FloatProperty(
        name="Temperature", default=.2, min=0, max=1, precision=2,
        description="How far a sample may be from the mean. More is more variety, and more broken hands")
    seed: IntProperty(
        name="Seed", default=0, min=0, max=MOST_SEED,
        description="Another seed is another way to sign it; the same seed with the same settings is the same again")
    new_seed_each_time: BoolProperty(
        name="New seed each time", description="Draw another seed before each run. The one used stays in the field")
    length: EnumProperty(name="Length", items=LENGTHS)
    seconds: FloatProperty(name="Seconds", default=2, min=.05, max=LONGEST, subtype="TIME_ABSOLUTE",
                           description="How long what is signed should be")
    first_pose: EnumProperty(name="First pose", items=FIRST_POSES)
    first_pose_file: StringProperty(name="File", subtype="FILE_PATH", maxlen=1024,
                                    description="A .pose file whose first frame is the first pose")

    refine_from: EnumProperty(name="From", items=REFINED, description="What is refined")
    refine_steps: IntProperty(
        name="Steps", default=1, min=1, max=MOST_STEPS, soft_max=50,
        description="1 is the most probable movement: the smallest error. More draw a sample: rougher, as real "
                    "movement is")
    strength: FloatProperty(
        name="Strength", default=1, min=0, max=1, subtype="FACTOR",
        description="How far keypoints may move: 0 changes nothing, 1 is the model's own estimate")
    refine_parts: EnumProperty(
        name="Parts", options={"ENUM_FLAG"}, default={"BODY", "LEFT_HAND", "RIGHT_HAND"},
        items=(("BODY", "Body", "Torso, head and arms"), ("LEFT_HAND", "Left hand", "The signer's left hand"),
               ("RIGHT_HAND", "Right hand", "The signer's right hand")),
        description="What is changed on the armature; the model sees all of it")

    transition: FloatProperty(
        name="Transition", default=0, min=0, max=LONGEST_TRANSITION, subtype="TIME_ABSOLUTE",
        description="Seconds of each way between strips. 0: as long as a hand takes for the way")
    hold: FloatProperty(name="Hold", default=0, min=0, max=LONGEST_TRANSITION, subtype="TIME_ABSOLUTE",
                        description="Seconds for which the end of each strip is held")

    what: EnumProperty(name="What", items=WHAT, default="RIGHT_HAND", description="What is signed anew")
    regenerate_text: StringProperty(
        name="Text", search=_texts, search_options={"SUGGESTION"}, maxlen=2000,
        description="What is signed there. Empty: whatever fits to the rest")
    range: EnumProperty(name="Frames", items=RANGES)
    first: IntProperty(name="First", default=1, description="First frame")
    last: IntProperty(name="Last", default=50, description="Last frame, which is one of them")

    mode: EnumProperty(name="Mode", items=MODES, default=USUAL.mode, description="How bones follow the keypoints")
    smoothing: FloatProperty(
        name="Smoothing", default=USUAL.smoothing, min=0, max=1, soft_max=.2, step=1, precision=3,
        subtype="TIME_ABSOLUTE",
        description="Seconds over which keypoints are averaged (standard deviation). Signing has small fast movements: "
                    "keep it mild. 0 is off")
    longest_gap: FloatProperty(
        name="Longest gap", default=USUAL.longest_gap, min=0, max=10, precision=2, subtype="TIME_ABSOLUTE",
        description="Shorter times in which a hand was not seen are bridged. In longer ones it rests, and a marker "
                    "says so")
    parts: EnumProperty(
        name="Parts", options={"ENUM_FLAG"}, default=set(USUAL.parts),
        items=(("body", "Body", "Torso and arms"), ("head", "Head", "Neck and head"),
               ("left_hand", "Left hand", "Left hand and its fingers"),
               ("right_hand", "Right hand", "Right hand and its fingers"),
               ("face", "Face", "Shape keys of the face: mouth, lids, brows")),
        description="What is animated")
    begin: EnumProperty(name="Begin at", items=BEGINNINGS)
    mirrored: BoolProperty(
        name="Mirrored video", description="Swap left and right: for a video that was mirrored, as front cameras do")
    person: IntProperty(name="Person", default=0, min=0, max=99,
                        description="Who of several people in the file: 0 is the first")
    preview: BoolProperty(name="Live preview", default=True,
                          description="Show what comes out of each step on the armature while the model works")

    fitted_end: IntProperty(default=-1, options={"HIDDEN"},
                            description="The scene's end, if it was set to the end of a take")
    # By its name: a pointer would keep an armature in the file that was deleted.
    last_used: StringProperty(options={"HIDDEN"}, description="The armature that is driven while no other is active")


class PoseDiffusionBone(bpy.types.PropertyGroup):
    """One line of a bone map; `name` is the role."""

    bl_idname = "POSEDIFFUSION_PG_bone"

    name: StringProperty(override=OVERRIDABLE)
    bone: StringProperty(name="Bone", maxlen=63, override=OVERRIDABLE,
                         description="The bone that plays this role; empty for none")


class PoseDiffusionObject(bpy.types.PropertyGroup):
    """`Object.pose_diffusion`, of armatures."""

    bl_idname = "POSEDIFFUSION_PG_object"

    bones: CollectionProperty(type=PoseDiffusionBone, override={"LIBRARY_OVERRIDABLE", "USE_INSERTION"})
    map_name: StringProperty(override=OVERRIDABLE,
                             description="Where the bone map comes from; empty while bones are found by their names")
    selected: IntProperty(override=OVERRIDABLE, description="Line of the bone map that is selected")
    source: StringProperty(subtype="FILE_PATH", maxlen=1024, override=OVERRIDABLE,
                           description="The .pose file that was loaded last")


CLASSES = (PoseDiffusionScene, PoseDiffusionBone, PoseDiffusionObject)


def register() -> None:
    """Hang the groups on scenes and objects."""
    bpy.types.Scene.pose_diffusion = PointerProperty(type=PoseDiffusionScene)
    bpy.types.Object.pose_diffusion = PointerProperty(type=PoseDiffusionObject, override=OVERRIDABLE)


def unregister() -> None:
    """Take them off."""
    del bpy.types.Object.pose_diffusion
    del bpy.types.Scene.pose_diffusion
