"""What the ways to read an observation have in common: see `choosing.py` and `plain.py`.

A reading says what the network is told of an observation, where its posterior mean starts from, and in which units the
rest is unknown. It has no weights of its own: these are the network's.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from torch import Tensor

from pose_diffusion.layout import Layout

if TYPE_CHECKING:
    from pose_diffusion.diffusion.denoiser import Denoiser
    from pose_diffusion.diffusion.filling import Observation

Begin = TypeVar("Begin", bound="AnyStart")


class AnyStart(Protocol):
    """Everything about an observation that does not change from step to step.

    Attributes
    ----------
    filled : Tensor
        `(B, T, K, 3)` features: the origin of the state space.
    known, exact : Tensor
        `(B, T, K)` bool: features observed; points not to be moved.
    seconds, valid : Tensor
        As in `Observation`.
    """

    @property
    def filled(self) -> Tensor: ...

    @property
    def known(self) -> Tensor: ...

    @property
    def exact(self) -> Tensor: ...

    @property
    def seconds(self) -> Tensor: ...

    @property
    def valid(self) -> Tensor: ...

    def map(self: Begin, function: Callable[[Tensor], Tensor]) -> Begin:
        """The same function on every tensor."""
        ...


class Reading(Protocol[Begin]):
    """How a network reads observations. All methods are given the network whose weights they use."""

    def inputs(self, layout: Layout) -> int:
        """How many numbers the network is told of a frame."""
        ...

    def outputs(self, layout: Layout) -> int:
        """How many numbers of a frame its expected errors are made of."""
        ...

    def level(self, layout: Layout) -> Tensor:
        """`(K, 1)`: usual noise of observed points."""
        ...

    def add_buffers(self, network: Denoiser) -> None:
        """Give a new network the statistics that this reading needs, as long as they say nothing."""
        ...

    def add_layers(self, network: Denoiser) -> None:
        """Give a new network the layers that this reading needs."""
        ...

    def start(self, network: Denoiser, observation: Observation) -> Begin:
        """Fill an observation: in float32, whatever the network runs in."""
        ...

    def spread(self, network: Denoiser, begin: Begin) -> Tensor:
        """`(B, T, K, 3)`: how far the truth may be from the filled observation; 0 for what cannot move."""
        ...

    def look(self, network: Denoiser, begin: Begin) -> tuple[Tensor, Tensor, Begin]:
        """What the network is told of each frame `(B, T, inputs)`, what else this reading needs, and the beginning,
        complete.
        """
        ...

    def settle(self, network: Denoiser, x: Tensor, local: Tensor, begin: Begin) -> tuple[Tensor, Tensor]:
        """From the encoder's tokens: where the posterior mean starts from `(B, T, K, 3)`, and the logarithms of weights
        it comes from.
        """
        ...

    def expect(self, network: Denoiser, x: Tensor, begin: Begin, spread: Tensor) -> tuple[Tensor, Tensor]:
        """From the encoder's tokens: the expected error of points `(B, T, K)`, and of features in units of the state
        space `(B, T, K, 3)`.
        """
        ...
