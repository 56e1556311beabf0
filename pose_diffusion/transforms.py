"""The project's jobs as transform objects, and a list of transforms that other packages can add to.

The objects are shaped like pose-evaluation's `PoseProcessor` (`name`, `__call__`, `process_pose`, `process_poses`,
`get_signature`), so they also work where those are expected. Importing this file does not import torch.

Another package adds a transform by an entry point in its `pyproject.toml`. What that names is called with the arguments
of `get_transform`, or without any, and returns the transform object:

    [project.entry-points."pose_format.transforms"]
    blur_face = "my_package:BlurFace"
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol
from urllib.parse import quote

from pose_format import Pose
from tqdm import tqdm

import pose_diffusion

if TYPE_CHECKING:
    from pose_diffusion.diffusion.model import PoseDiffusion

ENTRY_POINT_GROUP = "pose_format.transforms"


class TransformError(ValueError):
    """A transform is unknown, its name is taken, or its package cannot be loaded."""


class PoseTransform(Protocol):
    """What a transform has to have."""

    @property
    def name(self) -> str: ...
    def __call__(self, pose_or_poses: Any) -> Any: ...
    def process_pose(self, pose: Pose) -> Pose: ...
    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]: ...
    def get_signature(self) -> str: ...


@dataclass(frozen=True)
class _Transform:
    """What the transforms here have in common; their settings are their dataclass fields."""

    name: ClassVar[str]
    model_variable: ClassVar[str] = "POSE_DIFFUSION_MODEL"

    def __call__(self, pose_or_poses: Pose | Iterable[Pose]) -> Pose | list[Pose]:
        """One Pose -> one new Pose; several -> a list."""
        if isinstance(pose_or_poses, Pose):
            return self.process_pose(pose_or_poses)
        return self.process_poses(pose_or_poses)

    def process_pose(self, pose: Pose) -> Pose:
        return self.process_poses([pose])[0]

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        raise NotImplementedError

    def get_signature(self) -> str:
        """Name, settings and version in one line: equal signatures, equal results (the device is left out)."""
        settings = [f"{f.name}:{self._shown(f.name)}" for f in fields(self) if f.name != "device"]
        return "|".join([self.name, *settings, f"v:{pose_diffusion.__version__}"])

    def _shown(self, setting: str) -> str:
        return _shown(setting, getattr(self, setting), self.model_variable)


@dataclass(frozen=True)
class FillMissing(_Transform):
    """Fill in the points that were lost; leave every observed one as it is.

    Attributes
    ----------
    keep, steps, guidance, seed, device, model
        As in `pose_diffusion.fill_missing`.
    """

    name: ClassVar[str] = "fill_missing"
    keep: tuple[str | tuple[str, str], ...] = ()
    steps: int = 1
    guidance: float = 1.0
    seed: int = 0
    device: str = "cpu"
    model: str | Path | PoseDiffusion | None = None

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        return pose_diffusion.refine_many(list(poses), only_masked=True, progress=progress, **_settings(self))


@dataclass(frozen=True)
class Refine(_Transform):
    """Fill in the points that were lost and steady those that were seen.

    Attributes
    ----------
    strength, only_masked, keep, steps, guidance, seed, device, model
        As in `pose_diffusion.refine`.
    """

    name: ClassVar[str] = "refine"
    strength: float = 1.0
    only_masked: bool = False
    keep: tuple[str | tuple[str, str], ...] = ()
    steps: int = 1
    guidance: float = 1.0
    seed: int = 0
    device: str = "cpu"
    model: str | Path | PoseDiffusion | None = None

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        return pose_diffusion.refine_many(list(poses), progress=progress, **_settings(self))


@dataclass(frozen=True)
class Generate(_Transform):
    """Sign a text, beginning with the first frame of each pose, at its rate.

    Attributes
    ----------
    text, language, notation, seconds, steps, guidance, seed, device, model
        As in `pose_diffusion.generate`.
    """

    name: ClassVar[str] = "generate"
    text: str | None = None
    language: str = "und"
    notation: str | None = None
    seconds: float | None = None
    steps: int = 8
    guidance: float = 1.5
    seed: int = 0
    device: str = "cpu"
    model: str | Path | PoseDiffusion | None = None

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        first, settings = list(poses), _settings(self)
        return pose_diffusion.generate_many([settings.pop("text")] * len(first), first_pose=first, progress=progress,
                                            fps=[float(pose.body.fps) for pose in first], **settings)


@dataclass(frozen=True)
class Regenerate(_Transform):
    """Sign some frames, or some points, anew; leave all else as it is.

    Attributes
    ----------
    frames, points, text, language, notation, steps, guidance, seed, device, model
        As in `pose_diffusion.regenerate`; without points all are meant.
    """

    name: ClassVar[str] = "regenerate"
    frames: tuple[int, int] | None = None
    points: tuple[str | tuple[str, str], ...] = ()
    text: str | None = None
    language: str = "und"
    notation: str | None = None
    steps: int = 8
    guidance: float = 1.5
    seed: int = 0
    device: str = "cpu"
    model: str | Path | PoseDiffusion | None = None

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        several = tqdm(list(poses), desc=self.name, unit="pose", disable=not progress)
        settings = {**_settings(self), "points": self.points or None}
        return [pose_diffusion.regenerate(pose, **settings) for pose in several]


@dataclass(frozen=True)
class CorrectCapture(_Transform):
    """Correct by rules what a capture gets wrong about hands: sides, duplicates, jumps, wrists; no network.

    Attributes
    ----------
    hand_swap, duplicates, outliers, wrists, plausibility
        As in `pose_diffusion.correct_capture`.
    """

    name: ClassVar[str] = "correct_capture"
    hand_swap: bool = True
    duplicates: bool = True
    outliers: bool = True
    wrists: bool = True
    plausibility: bool = True

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        several = tqdm(list(poses), desc=self.name, unit="pose", disable=not progress)
        return [pose_diffusion.correct_capture(pose, **_settings(self)) for pose in several]


@dataclass(frozen=True)
class Lift(_Transform):
    """Lift a person to 3D: world landmarks in metres; see `pose_diffusion.lifted_pose` for what comes back.

    Attributes
    ----------
    camera : str, optional
        A focal length in pixels ("1200"), a field of view ("60deg") or a JSON file; without it, it is estimated.
    person, steps, mode, noise_px, energy_scale, seed, device, model
        As in `pose_diffusion.lift`.
    """

    name: ClassVar[str] = "lift"
    model_variable: ClassVar[str] = "POSE_DIFFUSION_BODY_MODEL"
    camera: str | None = None
    person: int = 0
    steps: int = 8
    mode: Literal["both", "energy", "conditioned"] = "both"
    noise_px: float | None = None
    energy_scale: float | None = None
    seed: int = 0
    device: str = "cpu"
    model: str | Path | PoseDiffusion | None = None

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        several, settings = tqdm(list(poses), desc=self.name, unit="pose", disable=not progress), _settings(self)
        camera = None if self.camera is None else pose_diffusion.CameraSpec.parse(self.camera)
        settings["camera"] = camera
        return [pose_diffusion.lifted_pose(pose, pose_diffusion.lift(pose, **settings), person=self.person)
                for pose in several]


@dataclass(frozen=True)
class Compose(_Transform):
    """Several transforms, one after the other; any object with a `PoseProcessor`'s methods can be among them."""

    name: ClassVar[str] = "compose"
    transforms: tuple[PoseTransform, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "transforms", tuple(self.transforms))  # a list is welcome, but must not change later

    def process_poses(self, poses: Iterable[Pose], progress: bool = False) -> list[Pose]:
        done = list(poses)
        for transform in tqdm(self.transforms, desc=self.name, disable=not progress):
            done = transform.process_poses(done)
        return done

    def get_signature(self) -> str:
        return f"{self.name}[{','.join(str(t.get_signature()) for t in self.transforms)}]"


def _settings(transform: _Transform) -> dict[str, Any]:
    return {f.name: getattr(transform, f.name) for f in fields(transform)}


def _shown(setting: str, value: Any, model_variable: str) -> str:
    if setting == "model":
        value = value or os.environ.get(model_variable) or "shipped"
        return Path(value).name if isinstance(value, (str, Path)) else "loaded"
    if setting == "text":  # without what has a meaning in a signature or in str.format
        return "none" if value is None else quote(value, safe=" ")
    if setting in ("keep", "points"):
        return ",".join(k if isinstance(k, str) else ":".join(k) for k in value) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class TransformInfo:
    """One line of `available_transforms`.

    Attributes
    ----------
    name : str
        What `get_transform` knows it by.
    origin : str
        The package and version, or the module, it is from.
    summary : str
        The first line of its description.
    error : str
        Why it cannot be used; empty if it can.
    """

    name: str
    origin: str
    summary: str = ""
    error: str = ""


_OWN = (Refine, FillMissing, Generate, Regenerate, CorrectCapture, Lift)
_factories: dict[str, Callable[..., Any]] = {transform.name: transform for transform in _OWN}


def register(name: str, factory: Callable[..., Any]) -> None:
    """Make a transform known by name in this process. Packages use an entry point instead (see the top of this file).

    Parameters
    ----------
    name : str
        A name that is not taken.
    factory : callable
        Called with the arguments of `get_transform`, returns the transform object.

    Raises
    ------
    TransformError
        If another transform is registered under that name.
    """
    if _factories.get(name, factory) is not factory:
        raise TransformError(f"the transform name {name!r} is taken by {_origin(_factories[name])}: choose another")
    _factories[name] = factory


def get_transform(name: str, **settings: Any) -> Any:
    """Make a transform by name.

    Parameters
    ----------
    name : str
        One of `available_transforms()`. What is registered in this process comes before entry points.
    **settings
        The transform's own arguments.

    Returns
    -------
    PoseTransform
        By its methods: an entry point may return any object that has them.

    Raises
    ------
    TransformError
        If there is none of that name, or its package cannot be loaded.
    """
    if name in _factories:
        return _factories[name](**settings)
    for point in _entry_points():
        if point.name == name:
            return _load(point)(**settings)
    raise TransformError(f"unknown transform {name!r}; known are {', '.join(t.name for t in available_transforms())}")


def available_transforms() -> list[TransformInfo]:
    """All transforms: those registered in this process, then those of installed packages.

    Those that cannot be used are listed with the reason in `error`; they never keep the others from being listed.
    """
    found = [TransformInfo(n, _origin(f), _summary(f)) for n, f in sorted(_factories.items())]
    owners = {info.name: info.origin for info in found}
    for point in _entry_points():
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        if point.name in owners:
            found.append(TransformInfo(point.name, origin, error=f"the name is taken by {owners[point.name]}"))
            continue
        owners[point.name] = origin
        try:
            found.append(TransformInfo(point.name, origin, _summary(_load(point))))
        except TransformError as error:
            found.append(TransformInfo(point.name, origin, error=str(error)))
    return found


def _entry_points() -> list[EntryPoint]:
    own = {(name, f"{f.__module__}:{f.__qualname__}") for name, f in _factories.items()}
    points = (p for p in entry_points(group=ENTRY_POINT_GROUP) if (p.name, p.value) not in own)
    return sorted(points, key=lambda p: (p.name, p.value))


def _load(point: EntryPoint) -> Callable[..., Any]:
    try:
        factory = point.load()
    except Exception as error:  # a stranger's module is imported here, and that can fail in any way there is
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise TransformError(f"the transform {point.name!r} ({point.value}) cannot be loaded: {reason}") from error
    if not callable(factory):
        raise TransformError(f"the transform {point.name!r} ({point.value}) cannot be called to make a transform")
    return factory


def _origin(factory: Callable[..., Any]) -> str:
    return getattr(factory, "__module__", None) or repr(factory)


def _summary(factory: Callable[..., Any]) -> str:
    return next(iter((factory.__doc__ or "").strip().splitlines()), "")
