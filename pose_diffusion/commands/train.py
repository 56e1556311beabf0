"""`train_pose_diffusion`: train a model from a packed file, or one of the body from motion capture; needs the extra
`train`.
"""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pose_diffusion.commands.errors import about, run

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

CONFIGS = Path(__file__).parent.parent / "training" / "configs"
BASE = CONFIGS / "base.yaml"
LIFT = "lift"  # the first argument that makes it a model of the body
LIFT_BASE = CONFIGS / "lift.yaml"
HELP = """Train a model and write its folder. Settings come from YAML files and the command line, later ones win:
train_pose_diffusion --config gpu --data.pack pack.npz --out model. A run that was stopped goes on with the same command
and --resume. With `train_pose_diffusion lift` first, it is a model of the body's 17 joints, from motion capture:
train_pose_diffusion lift --data.folder data --out model."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run("train_pose_diffusion", lambda: _train(sys.argv[1:] if argv is None else argv))


def _train(argv: Sequence[str]) -> int:
    lift = list(argv[:1]) == [LIFT]
    with about("training needs more packages (pip install 'pose-diffusion[train]')"):
        parser = make_lift_parser() if lift else make_parser()
        from lightning.pytorch import seed_everything
        from lightning.pytorch.utilities import rank_zero_only

        from pose_diffusion.training.run import fit, last_checkpoint
    config = parser.parse_args(named_configs(argv[1:] if lift else argv))
    seed_everything(config.seed, workers=True, verbose=False)
    with about():
        last = last_checkpoint(config.trainer, config.resume)
        parts = parser.instantiate(config)
        folder = Path(config.trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        rank_zero_only(parser.save)(config, folder / "config.yaml", overwrite=True)
        ratio = fit(parts.model, parts.data, parts.trainer.as_dict(), config.out, last)
    rank_zero_only(print)(f"{config.out}: error on the takes to tune by is {ratio:.1f} mm" if lift else
                          f"{config.out}: error on what was held out is {ratio:.3f} of the filled observation's")
    return 0


def make_parser() -> ArgumentParser:
    """The options: those of the classes, by name, below `model`, `data` and `trainer`."""
    from pose_diffusion.training.module import PoseData, PoseModule

    parser = _parser("train_pose_diffusion", BASE, PoseModule, PoseData)
    for source, target in (("model.denoiser.layout", "data.layout"), ("model.denoiser.window", "data.window")):
        parser.link_arguments(source, target)
    return parser


def make_lift_parser() -> ArgumentParser:
    """The same for a model of the body."""
    from pose_diffusion.training.lift_module import LiftData, LiftModule

    parser = _parser("train_pose_diffusion lift", LIFT_BASE, LiftModule, LiftData)
    for source, target in (("model.denoiser.window", "data.window"), ("model.denoiser.frames_per_token", "data.span")):
        parser.link_arguments(source, target)
    return parser


def _parser(name: str, base: Path, module: type, data: type) -> ArgumentParser:
    from jsonargparse import ArgumentParser
    from lightning.pytorch import Trainer

    from pose_diffusion.training.run import FIXED

    parser = ArgumentParser(name, description=HELP, default_config_files=[str(base)])
    parser.add_argument("--config", action="config", help="YAML file, or cpu or gpu for those of this package")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same weights")
    parser.add_class_arguments(module, "model")
    parser.add_class_arguments(data, "data")
    parser.add_class_arguments(Trainer, "trainer", skip={"callbacks", *FIXED}, instantiate=False)
    for target in ("model.seed", "data.seed"):
        parser.link_arguments("seed", target)
    return parser


def named_configs(argv: Sequence[str]) -> list[str]:
    """`--config cpu` names a file of this package, unless there is a file of that name."""
    named = {path.stem: str(path) for path in CONFIGS.glob("*.yaml")}
    return [named.get(value, value) if option == "--config" and not Path(value).exists() else value
            for option, value in zip(["", *argv], argv)]


if __name__ == "__main__":
    sys.exit(main())
