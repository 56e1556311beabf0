"""A pack of constructed signs: what the right arm does is the word."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_diffusion.layout import BODY, HOLISTIC
from pose_diffusion.notation import Text
from pose_diffusion.training.data import Pack
from tests.evaluation.constructed import pack

PATHS = {"hello": (.6, 0.), "thank you": (0., .6), "no": (0., -.6)}
ARM = np.array([HOLISTIC.index(BODY, "RIGHT_WRIST"), *range(*HOLISTIC.parts["right_hand"].indices(len(HOLISTIC)))])


def signs(counts: Mapping[str, int], frames: int = 26) -> Pack:
    """As many clips of each word by each source, who always stands alike; every fourth does not show the left hand."""
    words = list(PATHS)
    plain = pack({name: count * len(words) for name, count in counts.items()}, frames)
    rng = np.random.default_rng(0)
    xyz, confidence = plain.xyz.copy(), np.full_like(plain.confidence, 255)
    texts: dict[int, tuple[Text, ...]] = {}
    for clip, (start, length) in enumerate(zip(plain.starts.tolist(), plain.lens.tolist())):
        said = words[clip % len(words)]
        stands = plain.xyz[plain.starts[np.argmax(plain.source == plain.source[clip])]]
        moved = stands + rng.normal(0, .02, (1, *stands.shape)) + rng.normal(0, .005, (length, *stands.shape))
        away = np.sin(np.linspace(0, np.pi, length))[:, None] * PATHS[said]
        moved[:, ARM, :2] += away[:, None]
        xyz[start:start + length] = moved
        if clip % 4 == 0:
            confidence[start:start + length, HOLISTIC.parts["left_hand"]] = 0
        texts[clip] = (Text(said, "words", "ase"), Text("M507x507S1f720487x492", "signwriting", "ase"))
    return replace(plain, xyz=xyz, confidence=confidence, texts=texts)


def write_signs(path: Path, counts: Mapping[str, int]) -> Path:
    """The same as a file."""
    made = signs(counts)
    rows = [(clip, text) for clip, texts in made.texts.items() for text in texts]
    contents: Any = {
        "xyz": made.xyz, "confidence": made.confidence, "lens": made.lens, "source": made.source, "fps": made.fps,
        "sources": np.array(made.sources), "text": np.array([text.text for _, text in rows]),
        "language": np.array([text.language for _, text in rows]),
        "text_clip": np.array([clip for clip, _ in rows], np.int32),
    }
    np.savez(path, **contents)
    return path
