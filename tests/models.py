"""A network of no size whose every part has a say: nothing is trained, nothing is at its zero start."""
from __future__ import annotations

import torch

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.config import DenoiserConfig
from pose_diffusion.diffusion.denoiser import Denoiser
from pose_diffusion.diffusion.filling import Filler, Observation
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.notation import Text
from tests.poses import constructed_pose

TINY = DenoiserConfig(width=24, heads=2, encoder_layers=1, decoder_layers=1)
TINY_WITH_TEXT = DenoiserConfig(width=24, heads=2, encoder_layers=1, decoder_layers=1, condition_width=16,
                                text_layers=1)
TEXTS = (Text("hello", "words", "ase"), Text("thank you", "words", "ase"), Text("a", "words", "gsg"),
         Text("M507x507S1f720487x492", "signwriting", "ase"))


def random_network(config: DenoiserConfig = TINY, seed: int = 0) -> Denoiser:
    """Random weights, also where training starts from zeros, and the statistics of a constructed person."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Denoiser(config)
        for parameter in network.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=.5 / parameter.shape[-1]**.5)
            else:
                parameter.data += .1 * torch.randn_like(parameter)
    features = network.filler.features(torch.from_numpy(encode(constructed_pose(50))[0].xyz))
    std = features.std(0).clamp(min=.02)
    network.set_statistics({"mean": features.mean(0), "std": std, "rate": .5 * std})
    return network.eval().requires_grad_(False)


def random_model(config: DenoiserConfig = TINY, seed: int = 0) -> PoseDiffusion:
    """The same as a model."""
    return PoseDiffusion(random_network(config, seed), TEXTS if config.text_layers else ())


def still_filler() -> Filler:
    """A filler whose mean pose is 0."""
    layout = random_network().layout
    return Filler(layout, torch.zeros(len(layout), 3))


def observe(xyz: torch.Tensor, mask: torch.Tensor | None = None, exact: torch.Tensor | None = None,
            fps: float = 25.0) -> Observation:
    """An observation of `(B, T, K, 3)` points; all are seen and none exact by default."""
    mask = torch.ones(xyz.shape[:3], dtype=torch.bool) if mask is None else mask
    seconds = (torch.arange(xyz.shape[1]) / fps).expand(xyz.shape[:2])
    exact = torch.zeros_like(mask) if exact is None else exact
    valid = torch.ones(xyz.shape[:2], dtype=torch.bool)
    return Observation(torch.where(mask.unsqueeze(-1), xyz, 0.), mask, exact, seconds, valid)


def clip_of(observation: Observation, index: int, frames: int) -> Observation:
    """One clip of a batch, without its padding."""
    return observation.map(lambda x: x[index:index + 1, :frames])
