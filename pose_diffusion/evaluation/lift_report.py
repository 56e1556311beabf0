"""Tables of the benchmark of lifting, in Markdown."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pose_diffusion.evaluation.lift_benchmark import OURS, REGRESSION, Results, Scores
from pose_diffusion.evaluation.lift_cases import Case
from pose_diffusion.evaluation.lift_metrics import MM
from pose_diffusion.evaluation.metrics import interval
from pose_diffusion.evaluation.report import number, table
from pose_diffusion.training.mocap import TEST_SUBJECTS

RATIO, CALIBRATED, COVERED, QUICK = .6, .05, (.85, .95), 2.  # targets of the issue; seconds
BEST_OF = 50
ERRORS = {
    "one": "one", "mean": "mean of all", "best 1": "best of 1", "best 10": "best of 10", "best 50": "best of 50",
    "best 200": "best of 200", "joint best 10": "best of 10, per joint", "joint best 50": "best of 50, per joint",
    "joint best 200": "best of 200, per joint", "J-Agg 50": "J-Agg of 50",
    "PA mean": "PA, mean", "PA best 50": "PA, best of 50", "PA best 200": "PA, best of 200",
}  # yapf: disable
SPREADS = {
    "cover 50": "in the middle 50 %", "cover 90": "in the middle 90 %", "cover 90 depth": "depth in the middle 90 %",
    "cover 90 seen": "seen in the middle 90 %", "cover 90 hidden": "hidden in the middle 90 %", "width": "its width",
    "width hidden": "its width, hidden",
}  # yapf: disable
OTHERS = {
    "hidden mean": "hidden joints, mean", "scaled mean": "mean, scale fitted", "placed mean": "mean, not relative",
    "too large": "too large by (ln)", "size": "size off by (ln)", "velocity": "velocity",
    "reprojection": "reprojection (px)",
}  # yapf: disable
FINE = {"too large", "size", *(name for name in SPREADS if name.startswith("cover"))}  # not millimetres
NOTE = """Errors are in mm, over all 17 joints. *Relative* errors have the pelvis laid on the true one, nothing else.
*One* is a hypothesis, *best of N* the expected least error of N hypotheses, one for the whole sequence; *per joint* it
may be another one for every joint and frame. *J-Agg* takes for every joint and frame the hypothesis that the picture
shows to be best, so it needs no truth. *PA* is after the best similarity transform of each frame. *Scale fitted*: after
one factor for the sequence. *Not relative*: places in the camera's frame, after one scale about the camera, which the
picture cannot tell. In brackets: middle 95 % over 1000 bootstrapped sets of takes.
"""


def markdown(results: Results, settings: str = "") -> str:
    """All tables.

    Parameters
    ----------
    results : Results
    settings : str
        A paragraph about the run.
    """
    parts = {"Targets": targets_table(results)}
    for name, case in results.cases.items():
        parts[f"{name}: {described(case)}"] = "\n".join(case_tables(results.scores[name]))
    parts["People who are in no take that was trained on"] = strangers_table(results)
    parts["Time"] = time_table(results)
    return "\n".join([settings, NOTE, *(f"## {title}\n\n{text}" for title, text in parts.items())])


def described(case: Case) -> str:
    """A case in words."""
    words = [f"{case.frames} frame{'s' * (case.frames > 1)}", f"noise {case.noise_px:g} px"]
    words += ["limbs hidden"] * case.occluded + ["focal length unknown"] * (case.camera == "size")
    words += ["bodies of the mocap's skeletons"] * (case.bodies == "mocap")
    return ", ".join([*words, f"{case.sequences} sequences"])


def case_tables(row: dict[str, Scores]) -> list[str]:
    """Errors; calibration and coverage; the rest. A column that nothing fills is left out."""
    out = []
    for metrics in (ERRORS, SPREADS, OTHERS):
        columns = [metric for metric in metrics if any(math.isfinite(scores.value(metric)) for scores in row.values())]
        if not columns:
            continue
        header = [metrics[metric] for metric in columns]
        lines = [[name, *(_cell(scores, metric) for metric in columns)] for name, scores in row.items()]
        if metrics is SPREADS:
            header = ["calibration error", *header]
            lines = [[line[0], _calibration(row[line[0]]), *line[1:]] for line in lines]
        out.append(table(["", *header], lines))
    return out


def _cell(scores: Scores, metric: str) -> str:
    digits = 3 if metric in FINE else 1
    text = number(scores.value(metric), digits)
    if metric in ("mean", "best 50", "cover 90", "cover 90 hidden"):
        return _with_interval(text, interval(scores.drawn(metric)), digits)
    return text


def _with_interval(text: str, ends: tuple[float, float], digits: int) -> str:
    return text if text == "-" else f"{text} ({number(ends[0], digits)}-{number(ends[1], digits)})"


def _calibration(scores: Scores) -> str:
    found, ends = scores.calibration()
    return _with_interval(number(found), ends, 3)


def ratio(ours: Scores, theirs: Scores, metric: str = f"best {BEST_OF}") -> tuple[float, tuple[float, float]]:
    """A metric over another method's error, and the middle 95 % over takes drawn for both together."""
    below = theirs.value("one")
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = ours.drawn(metric) / theirs.drawn("one")
    return (ours.value(metric) / below if below > 0 else math.nan), interval(drawn)


def targets_table(results: Results) -> str:
    """A line per target and case, the three uses of the network beside each other."""
    names = [name for name in OURS if name in results.names()]
    lines = []
    for case, row in results.scores.items():
        for target, wanted, cells in _targets(results.cases[case], row, names):
            if any(cell != "-" for cell in cells):
                lines.append([f"{target}: {case}", wanted, *cells])
    return table(["target", "wanted", *names], lines)


def _targets(case: Case, row: dict[str, Scores], names: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    there = [row.get(name) for name in names]
    plain = row.get(REGRESSION)
    low, high = COVERED
    out = [(f"best of {BEST_OF} over the regression's error", f"at most {number(RATIO, 1)}",
            [_judged(*ratio(scores, plain), 2, most=RATIO) if scores and plain else "-" for scores in there]),
           (f"best of {BEST_OF} per joint over the regression's error", f"at most {number(RATIO, 1)}",
            [_judged(*ratio(scores, plain, f"joint best {BEST_OF}"), 2, most=RATIO) if scores and plain else "-"
             for scores in there]),
           ("calibration error", f"below {number(CALIBRATED, 2)}",
            [_judged(*scores.calibration(), 3, most=CALIBRATED) if scores else "-" for scores in there])]
    if case.occluded:
        metric = "cover 90 hidden"
        out.append(("hidden coordinates in the middle 90 %", f"{number(low, 2)} to {number(high, 2)}",
                    [_judged(scores.value(metric), interval(scores.drawn(metric)), 3, least=low, most=high)
                     if scores else "-" for scores in there]))
    if case.frames == 1:
        out.append((f"seconds for {case.hypotheses} hypotheses of 1 frame", f"under {QUICK:g}",
                    [_judged(float(np.median(scores.seconds)), interval(scores.seconds), 2, most=QUICK)
                     if scores and scores.hypotheses == BEST_OF else "-" for scores in there]))
    return out


def _judged(found: float, ends: tuple[float, float], digits: int, *, most: float, least: float = -math.inf) -> str:
    if not math.isfinite(found):
        return "-"
    return f"{_with_interval(number(found, digits), ends, digits)} {'yes' if least <= found <= most else '**no**'}"


def strangers_table(results: Results) -> str:
    """The mean's error of takes of people who were never trained on, and of the others."""
    lines = []
    for case, row in results.scores.items():
        for name, scores in row.items():
            known = np.array([take.split("/")[0] in TEST_SUBJECTS for take in scores.takes])
            parts = [scores.of(known), scores.of(~known)]
            lines.append([f"{case}: {name}", str(known.sum()), *(number(part.value("mean"), 1) for part in parts)])
    return table(["", "sequences of strangers", "mean of all: strangers", "others"], lines)


def time_table(results: Results) -> str:
    """A line per method: the median call, and milliseconds per hypothesis and frame."""
    lines = []
    for case, row in results.scores.items():
        for name, scores in row.items():
            call = float(np.median(scores.seconds))
            lines.append([f"{case}: {name}", str(scores.hypotheses), number(call),
                          number(MM * call / (scores.hypotheses * float(scores.frames[0])), 2)])
    return table(["", "hypotheses", "seconds per sequence", "ms per hypothesis and frame"], lines)
