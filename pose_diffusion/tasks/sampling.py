"""How the tasks that sign a text sample: their arguments, checked, and the walk through the steps."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.filling import Observation
from pose_diffusion.diffusion.model import Estimate, PoseDiffusion
from pose_diffusion.notation import Embedding, Text
from pose_diffusion.tasks.refine import LEAST, MOST, Settings, checked_settings

# Set on tuning and training signers (benchmarks/sampling_settings.py): recognised about as often as with anything else
# that was tried there, and bones keep their lengths as those of real captures do.
GUIDANCE, INTERVAL, TEMPERATURE = 1.5, (2.0, math.inf), .2
VAGUE = 1.0  # shoulder widths of expected error at which a made point's confidence has fallen to 1/e


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    Attributes
    ----------
    settings : Settings
        Steps, guidance and seed; what is seen is exact.
    interval : tuple of float
        Lowest and highest noise level at which guidance has an effect.
    temperature : float
        How large the noise is that sampling starts from.
    """

    settings: Settings
    interval: tuple[float, float]
    temperature: float

    def walk(self, model: PoseDiffusion, observation: Observation, seeds: Sequence[int],
             texts: Sequence[Text | Embedding | None], spans: Sequence[tuple[float, float]]) -> Iterator[Estimate]:
        """Sample a batch: yields after every step.

        Parameters
        ----------
        model : PoseDiffusion
            With what.
        observation : Observation
            What is known of the clips.
        seeds : sequence of int
            One a clip.
        texts : sequence of Text, Embedding or None
            What is signed in each.
        spans : sequence of (float, float)
            Seconds in the clip at which that begins and ends.
        """
        condition: Condition | None = None
        if any(text is not None for text in texts):
            condition = model.condition(texts, spans)
        return model.sample(observation, steps=self.settings.steps, seeds=seeds, guidance=self.settings.guidance,
                            guidance_interval=self.interval, temperature=self.temperature, condition=condition)


def sampling(steps: int, guidance: float, interval: tuple[float, float], temperature: float,
             seed: int) -> Sampling:
    """How to sample, checked.

    Raises
    ------
    ValueError
        One line that says which argument is wrong, and what it may be.
    """
    settings = checked_settings(1.0, True, None, steps, guidance, seed)
    low, high = map(float, interval)
    if not 0 <= low <= high:
        raise ValueError(f"guidance_interval must be two noise levels from 0 up, the lower first, not {interval}")
    check_temperature(temperature)
    if guidance == 0:  # the text is to be ignored, at all noise levels
        low, high = 0.0, math.inf
    return Sampling(settings, (low, high), float(temperature))


def made_confidence(error: np.ndarray) -> np.ndarray:
    """Confidence of a point that is made rather than found, from its expected error in shoulder widths:
    `exp(-error / 1)`, .05 to .95. It falls more slowly than that of `refine`, as there are many ways to sign a text
    and no truth to miss, and as pose-format draws what is below .2 nearly white.
    """
    return np.clip(np.exp(-error / VAGUE), LEAST, MOST).astype(np.float32)


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that is none."""
    if not 0 <= temperature <= 1:
        raise ValueError(f"temperature must be from 0 (the mean) to 1, not {temperature}")
