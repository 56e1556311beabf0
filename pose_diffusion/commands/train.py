"""`train_pose_diffusion`: train a model from a packed file; needs the extra `train`."""
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
HELP = """Train a model and write its folder. Settings come from YAML files and the command line, later ones win:
train_pose_diffusion --config gpu --data.pack pack.npz --out model. A run that was stopped goes on with the same command
and --resume."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run("train_pose_diffusion", lambda: _train(sys.argv[1:] if argv is None else argv))


def _train(argv: Sequence[str]) -> int:
    with about("training needs more packages (pip install 'pose-diffusion[train]')"):
        parser = make_parser()
        from lightning.pytorch import seed_everything
        from lightning.pytorch.utilities import rank_zero_only

        from pose_diffusion.training.run import fit, last_checkpoint
    config = parser.parse_args(named_configs(argv))
    seed_everything(config.seed, workers=True, verbose=False)
    with about():
        last = last_checkpoint(config.trainer, config.resume)
        parts = parser.instantiate(config)
        folder = Path(config.trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        rank_zero_only(parser.save)(config, folder / "config.yaml", overwrite=True)
        ratio = fit(parts.model, parts.data, parts.trainer.as_dict(), config.out, last)
    rank_zero_only(print)(f"{config.out}: error on what was held out is {ratio:.3f} of the filled observation's")
    return 0


def make_parser() -> ArgumentParser:
    """The options: those of the classes, by name, below `model`, `data` and `trainer`."""
    from jsonargparse import ArgumentParser
    from lightning.pytorch import Trainer

    from pose_diffusion.training.module import PoseData, PoseModule
    from pose_diffusion.training.run import FIXED

    parser = ArgumentParser("train_pose_diffusion", description=HELP, default_config_files=[str(BASE)])
    parser.add_argument("--config", action="config", help="YAML file, or cpu or gpu for those of this package")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same weights")
    parser.add_class_arguments(PoseModule, "model")
    parser.add_class_arguments(PoseData, "data")
    parser.add_class_arguments(Trainer, "trainer", skip={"callbacks", *FIXED}, instantiate=False)
    for source, target in (("seed", "model.seed"), ("seed", "data.seed"), ("model.denoiser.layout", "data.layout"),
                           ("model.denoiser.window", "data.window")):
        parser.link_arguments(source, target)
    return parser


def named_configs(argv: Sequence[str]) -> list[str]:
    """`--config cpu` names a file of this package, unless there is a file of that name."""
    named = {path.stem: str(path) for path in CONFIGS.glob("*.yaml")}
    return [named.get(value, value) if option == "--config" and not Path(value).exists() else value
            for option, value in zip(["", *argv], argv)]


if __name__ == "__main__":
    sys.exit(main())
