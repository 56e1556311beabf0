"""From the skeletons of motion capture to the 17 joints of layout `body`: linear combinations, as data.

Shoulders, elbows, wrists, hips, knees and ankles are joints of both. The head was placed where the same takes, of which
there are both kinds, show it: the directions from shoulders to ears agree to 2-5 degrees.
"""
from __future__ import annotations

from pose_diffusion.motion.combinations import SIDES, of_rows
from pose_diffusion.motion.skeletons import BODY

CMU_38 = (
    "Hips", "LHipJoint", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "LeftToeEnd", "RHipJoint", "RightUpLeg",
    "RightLeg", "RightFoot", "RightToeBase", "RightToeEnd", "LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head",
    "HeadEnd", "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "LeftFingerBase", "LeftHandIndex1",
    "LeftHandIndexEnd", "LeftThumbBase", "LeftThumbEnd", "RightShoulder", "RightArm", "RightForeArm", "RightHand",
    "RightFingerBase", "RightHandIndex1", "RightHandIndexEnd", "RightThumbBase", "RightThumbEnd",
)  # yapf: disable
_CMU_LIMBS = {"shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot"}
# Its last joint of the head ends above the ears' height by a third of the last bone.
FROM_CMU_38 = of_rows(
    CMU_38, BODY.joints,
    {f"{side}_{limb}": {f"{side.capitalize()}{name}": 1.} for side in SIDES for limb, name in _CMU_LIMBS.items()}
    | {"pelvis": {"LeftUpLeg": .5, "RightUpLeg": .5}, "thorax": {"LeftArm": .5, "RightArm": .5}},
    {"spine": {"Spine": 1.}, "head": {"Head": .3, "HeadEnd": .7}, "head_top": {"Head": -1.1, "HeadEnd": 2.1}})

CC_JOINTS = (
    *(f"CC_Base_{side[0].upper()}_{name}" for side in SIDES
      for name in ("Thigh", "Calf", "Foot", "Clavicle", "Upperarm", "Forearm", "Hand", "Eye")),
    "CC_Base_Spine02", "CC_Base_Head", "CC_Base_JawRoot", "CC_Base_UpperJaw",
)  # yapf: disable
_CC_LIMBS = {"shoulder": "Upperarm", "elbow": "Forearm", "wrist": "Hand", "hip": "Thigh", "knee": "Calf",
             "ankle": "Foot"}


def _head(up: float, back: float) -> dict[str, float]:
    """A point of the skull, from the joint of the head: so many times the way from the upper jaw to the eyes, and so
    many times that from the jaw's root to the joint itself.
    """
    return {"CC_Base_Head": 1 + back, "CC_Base_JawRoot": -back, "CC_Base_UpperJaw": -up,
            "CC_Base_L_Eye": up / 2, "CC_Base_R_Eye": up / 2}


# The head's combinations put the ears 2 cm below and 9 cm behind the eyes and the top 13 cm above the ears. The spine's
# joints of this skeleton lie in the belly: as far as shoulders lie behind collarbones, times 1.6, puts one where the
# other skeleton has it.
FROM_CC = of_rows(
    CC_JOINTS, BODY.joints,
    {f"{side}_{limb}": {f"CC_Base_{side[0].upper()}_{name}": 1.} for side in SIDES for limb, name in _CC_LIMBS.items()}
    | {"pelvis": {"CC_Base_L_Thigh": .5, "CC_Base_R_Thigh": .5},
       "thorax": {"CC_Base_L_Upperarm": .5, "CC_Base_R_Upperarm": .5}},
    {"spine": {"CC_Base_Spine02": 1., "CC_Base_L_Clavicle": -.8, "CC_Base_R_Clavicle": -.8, "CC_Base_L_Upperarm": .8,
               "CC_Base_R_Upperarm": .8},
     "head": _head(1.607, .996), "head_top": _head(1.607 + 3.023, .996 + 1.512)})
