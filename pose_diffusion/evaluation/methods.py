"""The methods of the benchmark by name, and the parameters each was tuned to."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from pose_diffusion.evaluation import baselines, smoothnet
from pose_diffusion.evaluation.baselines import Filter, Run, filtered, stacked
from pose_diffusion.evaluation.cases import ROWS, Row
from pose_diffusion.evaluation.mixture import Mixture

TUNED = Path(__file__).with_name("tuned.json")
Params = dict[str, float]

GAP_CASES = ("hand_drop", "arm_drop", "point_drop", "frame_drop")
LOSING_CASES = ("clean", *GAP_CASES, "swap", "mixed")  # an exchange of hands also loses them where one was missing
WRONG_CASES = ("swap", "outlier", "freeze")


@dataclass(frozen=True)
class Method:
    """One way of refining, in the benchmark.

    Attributes
    ----------
    run : callable
        From a row to a function of clips that returns the body and hands `(T, K, 3)` of each, complete; or
        `(H, T, K, 3)` samples. Only filters and the mixture care for the row: they are tuned to it.
    kind : str
        `baseline`, `network`, `ablation` (a network that the ratio is not of) or `samples`.
    calls : int
        Of a network, per clip.
    rows : tuple of Row
        Where it is measured.
    """

    run: Callable[[Row], Run]
    kind: str = "baseline"
    calls: int = 0
    rows: tuple[Row, ...] = ROWS


FIXED: dict[str, tuple[Run, tuple[str, ...] | None]] = {
    "none": (stacked(baselines.hold), None),
    "hold on the wrist": (stacked(baselines.hold_on_wrist), None),
    "pose.interpolate linear": (baselines.pose_interpolate("linear"), LOSING_CASES),
    "pose.interpolate cubic": (baselines.pose_interpolate("cubic"), LOSING_CASES),
    "linear on the wrist": (stacked(baselines.linear_on_wrist), None),
    "PCHIP on the wrist": (stacked(baselines.pchip_on_wrist), None),
}  # yapf: disable

FILTERS: dict[str, Callable[..., Filter]] = {
    "Savitzky-Golay": baselines.savitzky_golay,
    "median + Savitzky-Golay": baselines.median_savitzky_golay,
    "Butterworth": baselines.butterworth,
    "One-Euro, zero phase": baselines.one_euro,
    "Kalman smoother": baselines.kalman,
}  # yapf: disable
MIXTURE, SMOOTHNET = "Gaussian mixture", "SmoothNet"


def _grid(**values: Sequence[float]) -> list[Params]:
    return [dict(zip(values, chosen)) for chosen in product(*values.values())]


def grid(name: str, row: Row) -> list[Params]:
    """What a method is tried with on a row; those of the mixture are cut down to what can help there."""
    if name == MIXTURE:
        if row.case in GAP_CASES or row.case == "clean":
            return _grid(noise=(.02, .05, .1, .2, .4, .8), trim=(0.,), exact=(True,))
        if row.case in WRONG_CASES:
            return _grid(noise=(.08, .15, .3), trim=(.06, .1, .15), exact=(True, False))
        return _grid(noise=(.02, .05, .1), trim=(.1, .15, .25), exact=(False,))
    return {
        "Savitzky-Golay": _grid(window=(5, 7, 9, 13, 21), order=(2, 3)),
        "median + Savitzky-Golay": _grid(size=(3, 5, 7), window=(3, 5, 7, 9, 13), order=(2,)),
        "Butterworth": _grid(cutoff=(.1, .15, .2, .3, .4, .5, .6, .8), order=(2,)),
        "One-Euro, zero phase": _grid(min_cutoff=(.02, .05, .1, .2, .5), beta=(0., .1, .3, 1., 3.)),
        "Kalman smoother": _grid(stiffness=(1e-4, 1e-3, .01, .03, .1, .3, 1., 10., 100.)),
    }[name]


def make(name: str, params: Params, mixture: Mixture | None = None) -> Run:
    """A tunable method with its parameters."""
    if name == MIXTURE:
        assert mixture is not None
        return stacked(mixture.method(params["noise"], params["trim"], bool(params["exact"])))
    return filtered(FILTERS[name](**params))


def read_tuned(path: Path = TUNED) -> dict[str, dict[str, Params]]:
    """Parameters by method and row's name."""
    return json.loads(path.read_text(encoding="utf-8"))


def all_baselines(mixture: Mixture | None, network: smoothnet.SmoothNet | None,
                  tuned: dict[str, dict[str, Params]]) -> dict[str, Method]:
    """Every baseline by name; those of which something is missing are left out.

    Parameters
    ----------
    mixture : Mixture, optional
        Fitted.
    network : SmoothNet, optional
        Trained.
    tuned : dict
        See `read_tuned`.
    """
    methods = {}
    for name, (run, cases) in FIXED.items():
        rows = tuple(row for row in ROWS if cases is None or row.case in cases)
        methods[name] = Method(partial(_always, run), rows=rows)
    for name in (*FILTERS, *((MIXTURE,) if mixture is not None else ())):
        methods[name] = Method(partial(_tuned, name, tuned[name], mixture))
    if network is not None:
        run = filtered(partial(smoothnet.smooth, network))
        methods[SMOOTHNET] = Method(partial(_always, run), calls=1)
    return methods


def _always(run: Run, row: Row) -> Run:
    return run


def _tuned(name: str, tuned: dict[str, Params], mixture: Mixture | None, row: Row) -> Run:
    return make(name, tuned[row.name], mixture)
