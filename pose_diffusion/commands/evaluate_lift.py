"""`evaluate_lift`: lifted motion against held-out motion capture seen by random cameras; needs the extra `train`."""
from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pose_diffusion.commands.errors import about, run

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from pose_diffusion.evaluation.lift_benchmark import Results
    from pose_diffusion.evaluation.lift_cases import Case
    from pose_diffusion.evaluation.lift_methods import Method
    from pose_diffusion.motion.mocap import Take

CONFIGS = Path(__file__).parent.parent / "evaluation" / "configs"
BASE = CONFIGS / "lift.yaml"
HELP = """Measure lifting, and what else could be done, on motion capture that nothing was trained on. Settings come
from YAML files and the command line, later ones win: evaluate_lift --data folder --regression runs/regression --out
runs/lift --sequences 10. Written are lift.md, lift.npz (every number of every sequence) and config.yaml."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run("evaluate_lift", lambda: _evaluate(sys.argv[1:] if argv is None else argv))


def make_parser() -> ArgumentParser:
    """The options."""
    from jsonargparse import ArgumentParser
    from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

    from pose_diffusion.evaluation.lift_cases import Case

    parser = ArgumentParser("evaluate_lift", description=HELP, default_config_files=[str(BASE)])
    parser.add_argument("--config", action="config", help="YAML file, or lift_quick for that of this package")
    parser.add_argument("--data", type=Path, required=True,
                        help="folder with mocap/cmu_joints.npz and bvh/cmu/*.bvh")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", type=str | None, help="folder of another model (default: the one in this package)")
    parser.add_argument("--regression", type=str | None, help="folder of a model trained as plain regression; without "
                                                              "it that method is left out")
    parser.add_argument("--cases", type=list[Case], help="what is measured (see evaluation/configs/lift.yaml)")
    parser.add_argument("--rows", type=list[str] | str | None,
                        help="only the cases of these names: '1 frame' or '1 frame, 32 frames hidden'")
    parser.add_argument("--methods", type=list[str], help="which methods")
    parser.add_argument("--sequences", type=PositiveInt, help="most sequences of a case")
    parser.add_argument("--hypotheses", type=PositiveInt, help="most hypotheses of a sequence")
    parser.add_argument("--part", type=str, default="test", help="test or tuning: which takes")
    parser.add_argument("--steps", type=PositiveInt, help="of the sampler")
    parser.add_argument("--energy_steps", type=PositiveInt | None, help="inner steps towards low energy at each of "
                                                                        "these (default: the mode's own)")
    parser.add_argument("--energy_scale", type=PositiveFloat | None, help="weight of the picture in the energy: 1 "
                                                                          "takes it at its word (default: the mode's)")
    parser.add_argument("--told_px", type=PositiveFloat | None, help="what methods are told of the detector's noise, "
                                                                     "whatever it is (default: the true one)")
    parser.add_argument("--linear_windows", type=PositiveInt, help="motions that the linear prior is fitted to")
    parser.add_argument("--seed", type=NonNegativeInt, help="of everything that is drawn")
    parser.add_argument("--threads", type=PositiveInt, help="of the processor")
    return parser


def _evaluate(argv: Sequence[str]) -> int:
    with about("the evaluation needs more packages (pip install 'pose-diffusion[train]')"):
        parser = make_parser()
    settings = parser.parse_args(named_configs(argv))
    with about():
        plain = parser.dump(settings, skip_default=False)
        settings = parser.instantiate(settings)
    import torch

    from pose_diffusion.training.mocap import split, takes

    torch.set_num_threads(settings.threads)
    with about():
        cases = chosen(settings)
        if settings.part not in ("test", "tuning"):
            raise ValueError(f"--part must be test or tuning, not {settings.part!r}")
    with about(settings.data):
        parts = split(takes(settings.data))
    with about():
        methods = _methods(settings, parts.train, sorted({case.frames for case in cases}))
    with about(settings.out):
        settings.out.mkdir(parents=True, exist_ok=True)  # before hours of work, not after them
    with about():
        results = _measure(settings, getattr(parts, settings.part), cases, methods)
    with about(settings.out):
        _write(results, settings, plain)
    return 0


def chosen(settings: Namespace) -> list[Case]:
    """The cases to measure, not longer than asked for.

    Raises
    ------
    ValueError
        For names of rows that there are not.
    """
    names = [case.name for case in settings.cases]
    rows = [name.strip() for name in settings.rows.split(",")] if isinstance(settings.rows, str) else settings.rows
    if missing := sorted(set(rows or []) - set(names)):
        raise ValueError(f"no case {', '.join(missing)}: there are {', '.join(names)}")
    return [replace(case, sequences=min(case.sequences, settings.sequences),
                    hypotheses=min(case.hypotheses, settings.hypotheses))
            for case in settings.cases if not rows or case.name in rows]


def _methods(settings: Namespace, train: Sequence[Take], lengths: Sequence[int]) -> dict[str, Method]:
    from pose_diffusion.evaluation import lift_baselines, lift_methods
    from pose_diffusion.evaluation.lift_benchmark import LINEAR, METHODS, OURS, REGRESSION
    from pose_diffusion.tasks.lift import load_body_model

    if unknown := sorted(set(settings.methods) - set(METHODS)):
        raise ValueError(f"no method {', '.join(unknown)}: there are {', '.join(METHODS)}")
    out: dict[str, Method] = {}
    told: dict[str, Any] = {"told_px": settings.told_px}
    guided = told | {name: getattr(settings, name) for name in ("steps", "energy_steps", "energy_scale")}
    if set(OURS) & set(settings.methods):
        model = load_body_model(settings.model)
    for name in settings.methods:
        if name in OURS:
            out[name] = lift_methods.network(model, lift_methods.MODES[name], **guided)
        elif name == REGRESSION and settings.regression:
            out[name] = lift_methods.regression(load_body_model(settings.regression), **told)
        elif name == LINEAR:
            priors = lift_baselines.priors(train, lengths, settings.linear_windows, settings.seed)
            out[name] = lift_methods.linear(priors, **guided)
    if not out:
        raise ValueError("there is nothing to measure: --methods names only the regression, and --regression no folder")
    return out


def _measure(settings: Namespace, takes: Sequence[Take], cases: Sequence[Case], methods: Mapping[str, Method]
             ) -> Results:
    from pose_diffusion.evaluation.lift_benchmark import Results, evaluate
    from pose_diffusion.evaluation.lift_cases import trials

    results = Results()
    for case in cases:
        made = trials(takes, case, settings.seed)
        results.cases[case.name] = case
        results.scores[case.name] = {}
        for name, method in methods.items():
            if case.camera == "known" or method.estimates_camera:
                scores = evaluate(_shown(made, f"{case.name}: {name}"), method, case.hypotheses, settings.seed)
                results.scores[case.name][name] = scores
    return results


def _shown(items: Sequence[Any], name: str) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(items, desc=name, leave=False)


def _write(results: Results, settings: Namespace, plain: str) -> None:
    """Print the tables; write them, every number, and the settings."""
    from pose_diffusion.evaluation.lift_benchmark import save
    from pose_diffusion.evaluation.lift_report import markdown
    from pose_diffusion.files import atomic

    told = "the true one" if settings.told_px is None else f"{settings.told_px:g} px"
    scale = "by each mode's own scale" if settings.energy_scale is None else f"times {settings.energy_scale:g}"
    text = markdown(results, f"Takes held out for {settings.part}, {settings.steps} steps, energies {scale}, seed "
                             f"{settings.seed}, {settings.threads} thread{'s' * (settings.threads > 1)}; "
                             f"methods are told the detector's noise: {told}.\n")
    print(text)
    for name, content in (("lift.md", text), ("config.yaml", plain)):
        with atomic(settings.out / name) as path:
            path.write_text(content, encoding="utf-8")
    with atomic(settings.out / "lift.npz") as path:
        save(results, path)


def named_configs(argv: Sequence[str]) -> list[str]:
    """`--config lift_quick` names a file of this package, unless there is a file of that name."""
    named = {path.stem: str(path) for path in CONFIGS.glob("*.yaml")}
    out = list(argv)
    for i, (option, value) in enumerate(zip(["", *argv], argv)):
        start, name = ("--config=", value[9:]) if value.startswith("--config=") else ("", value)
        if (start or option == "--config") and name in named and not Path(name).exists():
            out[i] = start + named[name]
    return out


if __name__ == "__main__":
    sys.exit(main())
