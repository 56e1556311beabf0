"""The size of a network, as a model folder or a training configuration states it."""
from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from pose_diffusion.layout import LAYOUTS


@dataclass(frozen=True)
class DenoiserConfig:
    """The size of a network.

    Attributes
    ----------
    layout : str
        Name of its layout.
    reading : str
        How it reads an observation: ``"candidates"`` weighs simple estimates of a clip, for Holistic keypoints (see
        `choosing.py`); ``"plain"`` starts from the data's mean, for any layout and coordinates known one by one (see
        `plain.py`).
    width, heads : int
        Of the transformer's tokens.
    encoder_layers, decoder_layers : int
        Depth of the halves.
    frames_per_token : int
        Frames that are one token: the strongest lever for speed on a CPU (reference measurements: 4 times).
    window : int
        Frames the network was trained on and is run on at a time.
    condition_width : int
        Width of the condition's tokens.
    text_layers : int
        Of the text encoder; 0 for a network without text.
    embedding_width : int
        Width of a user's own text embeddings; 0 for none.
    dropout : float
        In the feed-forward layers, in training.
    """

    layout: str = "holistic"
    reading: str = "candidates"
    width: int = 192
    heads: int = 6
    encoder_layers: int = 4
    decoder_layers: int = 3
    frames_per_token: int = 4
    window: int = 32
    condition_width: int = 64
    text_layers: int = 0
    embedding_width: int = 0
    dropout: float = 0.

    def as_dict(self) -> dict:
        return asdict(self)


LIMITS = {"width": 2048, "heads": 64, "encoder_layers": 64, "decoder_layers": 64, "frames_per_token": 16,
          "window": 1024, "condition_width": 4096, "text_layers": 64, "embedding_width": 65536}
READINGS = ("candidates", "plain")
MAY_BE_ZERO = ("text_layers", "embedding_width")


def checked_config(values: dict) -> DenoiserConfig:
    """A configuration from a file: sizes are limited before anything is allocated.

    Raises
    ------
    ValueError
        For unknown names, sizes out of their range, or sizes that do not fit together.
    """
    unknown = sorted(set(values) - {field.name for field in fields(DenoiserConfig)})
    if unknown:
        raise ValueError(f"unknown settings {', '.join(map(str, unknown))}")
    config = DenoiserConfig(**values)
    for name, limit in LIMITS.items():
        value = getattr(config, name)
        least = 0 if name in MAY_BE_ZERO else 1
        if type(value) is not int or not least <= value <= limit:
            raise ValueError(f"{name} must be a whole number from {least} to {limit}, not {value!r}")
    if config.layout not in LAYOUTS:
        raise ValueError(f"unknown layout {config.layout!r}: there are {', '.join(LAYOUTS)}")
    if config.reading not in READINGS:
        raise ValueError(f"unknown reading {config.reading!r}: there are {', '.join(READINGS)}")
    if config.reading == "candidates" and not {"left_hand", "right_hand", "face"} <= set(LAYOUTS[config.layout].parts):
        raise ValueError(f"candidates are of hands and faces, layout {config.layout!r} has none: set reading to plain")
    if config.reading == "plain" and config.text_layers:
        raise ValueError("a network that reads plainly understands no text: set text_layers to 0")
    if config.width % (2 * config.heads) or config.window % (4 * config.frames_per_token):
        raise ValueError("width must be a multiple of twice the heads, window of four times frames_per_token")
    if config.text_layers and config.condition_width % 4:
        raise ValueError(f"condition_width must be a multiple of 4 where there is text, not {config.condition_width}")
    if config.embedding_width and not config.text_layers:
        raise ValueError("embedding_width needs a text encoder: set text_layers")
    if type(config.dropout) not in (int, float) or not 0 <= config.dropout < 1:
        raise ValueError(f"dropout must be from 0 to below 1, not {config.dropout!r}")
    return config
