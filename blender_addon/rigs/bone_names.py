# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bone's name says: side, part, finger. The names of unknown rigs are read word by word."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SIDE_WORDS: Mapping[str, str] = {"l": "L", "left": "L", "lft": "L", "r": "R", "right": "R", "rgt": "R"}
FINGER_WORDS: Mapping[str, str] = {
    "thumb": "thumb", "index": "index", "pointer": "index", "middle": "middle", "mid": "middle", "ring": "ring",
    "pinky": "pinky", "pinkie": "pinky", "little": "pinky"}
PHALANX_WORDS = frozenset({"proximal", "intermediate", "medial", "middle", "distal", "phalanx", "finger", "hand", "f"})
METACARPAL_WORDS = frozenset({"metacarpal", "meta", "carpal", "palm"})
PARTS: Mapping[str, frozenset[str]] = {part: frozenset(words.split()) for part, words in {
    "hips": "hips hip pelvis",
    "spine": "spine abdomen abdomenlower abdomenupper waist torso back lowerback",
    "chest": "chest chestlower chestupper upperchest thorax ribs ribcage",
    "neck": "neck necklower neckupper",
    "head": "head",
    "shoulder": "shoulder clavicle collar collarbone clav",
    "upper_arm": "upperarm uparm arm armupper shldr shldrbend humerus",
    "forearm": "forearm lowerarm lowarm loarm armlower elbow forearmbend",
    "hand": "hand wrist"}.items()}
SIDED = frozenset({"shoulder", "upper_arm", "forearm", "hand"})
# Words that say nothing of the part.
EMPTY_WORDS = frozenset({"bone", "jnt", "joint", "bip", "def", "deform", "skin", "sk", "bn", "j", "base", "valvebiped"})


@dataclass(frozen=True)
class Said:
    """What a name says.

    Attributes
    ----------
    part : str
        A role without its side (`hips` ... `hand`), `finger`, or `metacarpal`.
    side : str
        `L`, `R`, or empty.
    finger : str
        `thumb` ... `pinky`; empty where the finger has only a number.
    numbers : tuple of str
        The digits in the name, as they are written.
    """

    part: str
    side: str
    finger: str = ""
    numbers: tuple[str, ...] = ()


def words(name: str) -> list[str]:
    """The words and numbers of a name in lower case: split at signs, at digits and at capitals; no namespace."""
    found = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", re.split(r"[:|]", name)[-1])
    return [part for word in found for part in _divided(word.lower())]


def _divided(word: str) -> list[str]:
    """`lefthand` as `left`, `hand`; `indexfinger` as `index`, `finger`."""
    for piece in ("left", "right", "finger"):
        if word.startswith(piece) and word != piece and word not in {"fingers"}:
            return [piece, word[len(piece):]]
        if word.endswith(piece) and word != piece:
            return [word[:-len(piece)], piece]
    return [word]


def common_words(names: Sequence[str]) -> frozenset[str]:
    """Words of more than half of the bones, such as a character's name. They are not read."""
    counts = Counter(word for name in names for word in set(words(name)) if not word.isdigit())
    known = {*SIDE_WORDS, *FINGER_WORDS, *PHALANX_WORDS, *METACARPAL_WORDS}.union(*PARTS.values())
    return frozenset(word for word, count in counts.items() if 2 * count > len(names) and word not in known)


def read_name(name: str, ignored: frozenset[str] = frozenset()) -> Said | None:
    """What a name says, or None: a word that is not known (ik, twist, toe) says that it is another bone."""
    found = [word for word in words(name) if word not in EMPTY_WORDS and word not in ignored]
    numbers = tuple(word for word in found if word.isdigit())
    letters = [word for word in found if not word.isdigit()]
    sides = [SIDE_WORDS[word] for word in letters if word in SIDE_WORDS]
    letters = [word for word in letters if word not in SIDE_WORDS]
    if len(sides) > 1 or not letters:
        return None
    side = sides[0] if sides else ""
    joined = "".join(letters)
    for part, names in PARTS.items():
        if joined in names:
            return Said(part, side, numbers=numbers) if bool(side) == (part in SIDED) else None
    return _read_finger(letters, side, numbers) if side else None


def _read_finger(letters: Sequence[str], side: str, numbers: tuple[str, ...]) -> Said | None:
    """A finger's bone: `index`, `finger` with a number, `little proximal`."""
    fingers = {FINGER_WORDS[word] for word in letters if word in FINGER_WORDS}
    if len(fingers) == 2 and "middle" in letters:  # `index middle`: the second of the index finger
        fingers.discard("middle")
    rest = {word for word in letters if word not in FINGER_WORDS}
    if len(fingers) > 1 or not rest <= PHALANX_WORDS | METACARPAL_WORDS:
        return None
    finger = next(iter(fingers), "")
    if rest & METACARPAL_WORDS:  # the thumb's metacarpal moves; the others are the palm
        return Said("finger" if finger == "thumb" else "metacarpal", side, finger, numbers)
    return Said("finger", side, finger, numbers) if finger or ("finger" in rest and numbers) else None
