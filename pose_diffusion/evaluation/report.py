"""The benchmark's tables, from its results.

A *ratio* is the network's 2D error of lost or moved points over that of the best baseline of the same row and the same
set of clips, chosen after the fact. The network trained as plain regression is an ablation: no ratio is over it.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_diffusion.evaluation.benchmark import Results
from pose_diffusion.evaluation.cases import ROWS
from pose_diffusion.evaluation.metrics import GAP_NAMES, bootstrap, interval, ratio, value

NETWORK, MASKED = "network", "network, only masked"
ERROR = "error_2d"
LEAVES_POINTS = ("clean", "hand_drop", "arm_drop", "point_drop", "frame_drop", "swap", "outlier", "freeze")
LONG = {
    "unseen": "unseen signers and cameras", "training": "training signers",
}  # yapf: disable


@dataclass(frozen=True)
class Target:
    """A ratio to reach on unseen signers: of the metric, over the rows of a case; pooled, or their geometric mean."""

    name: str
    case: str
    limit: float
    metric: str = ERROR
    pooled: bool = False


TARGETS = (
    Target("gaps of 1-2 frames", "hand_drop", 1.0, "gap 1-2", True),
    Target("gaps of 3-8 frames", "hand_drop", .97, "gap 3-8", True),
    Target("gaps of 9-20 frames", "hand_drop", .9, "gap 9-20", True),
    Target("gaps over 20 frames or at an end", "hand_drop", .85, "gap long", True),
    Target("arm_drop", "arm_drop", .85), Target("frame_drop", "frame_drop", .95), Target("jitter", "jitter", .75),
    Target("swap", "swap", .4), Target("outlier", "outlier", .4), Target("freeze", "freeze", .4),
    Target("mixed", "mixed", .55),
)  # yapf: disable


def rows_of(results: Results, *cases: str) -> list[str]:
    """The rows measured of some cases."""
    return [row.name for row in ROWS if row.case in cases and row.name in results.scores]


def best_baseline(results: Results, metric: str, rows: Sequence[str]) -> str | None:
    """The baseline with the lowest value over some rows; None if nothing was measured there."""
    values = {name: value(results.tally(name, metric, rows)) for name in results.names("baseline")
              if results.measured(name, rows)}
    values = {name: v for name, v in values.items() if math.isfinite(v)}
    return min(values, key=lambda name: values[name]) if values else None


def ratio_to_best(results: Results, metric: str, rows: Sequence[str], method: str = NETWORK) -> float:
    """A method's value over the best baseline's; NaN if either is missing."""
    name = best_baseline(results, metric, rows) if rows else None
    if name is None or not results.measured(method, rows):
        return math.nan
    return ratio(results.tally(method, metric, rows), results.tally(name, metric, rows))


def geometric_mean(values: Sequence[float]) -> float:
    """Of the finite ones; NaN of none."""
    known = [v for v in values if math.isfinite(v) and v > 0]
    return math.exp(sum(map(math.log, known)) / len(known)) if known else math.nan


def headline(results: Results, method: str = NETWORK, *, without: str = "clean") -> float:
    """The geometric mean of the ratios of all rows that lose or move points, but those of one more case."""
    rows = [row for row in results.scores if row.split()[0] not in ("clean", without)]
    return geometric_mean([ratio_to_best(results, ERROR, [row], method) for row in rows])


def target_ratio(results: Results, target: Target) -> float:
    """A target's ratio on a set."""
    rows = rows_of(results, target.case)
    if target.pooled:
        return ratio_to_best(results, target.metric, rows)
    return geometric_mean([ratio_to_best(results, target.metric, [row]) for row in rows])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(x: float, digits: int = 3) -> str:
    """Without the leading zero, as the tables print them; `-` for NaN."""
    if not math.isfinite(x):
        return "-"
    text = f"{x:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def main_table(sets: dict[str, Results]) -> str:
    """A line per row: the best baseline, the network at one step, their ratio with its 95 % interval; each set."""
    header = ["damage"]
    for name in sets:
        header += [f"{LONG[name]}: best baseline", "error", "network", "ratio (95 %)"]
    lines = []
    for row in next(iter(sets.values())).scores:
        lines.append([row, *(cell for results in sets.values() for cell in _compared(results, row))])
    last = ["**geometric mean of ratios**"]
    for results in sets.values():
        last += ["", "", "", f"**{number(headline(results))}**"]
    calm = ["without swap, for which no baseline is made"]
    for results in sets.values():
        calm += ["", "", "", number(headline(results, without="swap"))]
    return table(header, [*lines, last, calm])


def _compared(results: Results, row: str) -> list[str]:
    metric = "untouched_2d" if row == "clean" else ERROR
    if row == "clean":  # nothing is to be done: what counts is what is moved
        moved = results.tally(NETWORK, metric, [row]) if results.measured(NETWORK, [row]) else None
        return ["none", ".000", number(value(moved), 4) if moved is not None else "-", "-"]
    name = best_baseline(results, metric, [row])
    if name is None:
        return ["-"] * 4
    theirs = results.tally(name, metric, [row])
    if not results.measured(NETWORK, [row]):
        return [name, number(value(theirs)), "-", "-"]
    ours = results.tally(NETWORK, metric, [row])
    draws = bootstrap([ours, theirs])
    low, high = interval(draws[0] / draws[1])
    return [name, number(value(theirs)), number(value(ours)),
            f"{number(ratio(ours, theirs), 2)} ({number(low, 2)}-{number(high, 2)})"]


def targets_table(sets: dict[str, Results]) -> str:
    """The targets on unseen signers, with the training signers' figures beside them."""
    unseen, training = sets["unseen"], sets.get("training")
    lines = []

    def line(name: str, limit: str, here: float, there: float, met: bool, digits: int = 3) -> None:
        missing = not math.isfinite(here)
        lines.append([name, limit, number(here, digits), number(there, digits),
                      "not measured" if missing else "met" if met else "missed"])

    for target in TARGETS:
        here = target_ratio(unseen, target)
        there = target_ratio(training, target) if training else math.nan
        line(f"{target.name}: ratio", f"at most {target.limit}", here, there, here <= target.limit)
        if target.case == "jitter":
            for row in rows_of(unseen, "jitter"):
                here, there = (_network(r, "acceleration_ratio", [row]) for r in (unseen, training))
                line(f"{row}: acceleration ratio", ".8 to 1.25", here, there, .8 <= here <= 1.25)
    for name, method, cases in (("untouched points moved", NETWORK, LEAVES_POINTS),
                                ("untouched points moved, only masked", MASKED, ("hand_drop",))):
        here, there = (_network(r, "untouched_2d", rows_of(r, *cases) if r else [], method) for r in (unseen, training))
        limit = 0. if method == MASKED else .005
        line(name, f"{'0' if method == MASKED else 'below .005'}", here, there, here <= limit, 4)
    calibration = [s.calibration for scores in unseen.scores.values() for s in scores.values()
                   if math.isfinite(s.calibration)]
    here = max(calibration, default=math.nan)
    line("calibration error, worst row", "below .08", here, math.nan, here < .08)
    here, there = headline(unseen), headline(training) if training else math.nan
    line("geometric mean of ratios, unseen less training", "at most .05 apart", here - there, math.nan,
         here - there <= .05)
    return table(["target", "asked", LONG["unseen"], LONG["training"], ""], lines)


def _network(results: Results | None, metric: str, rows: Sequence[str], method: str = NETWORK) -> float:
    if results is None or not rows or not results.measured(method, rows):
        return math.nan
    return value(results.tally(method, metric, rows))


def methods_table(results: Results, metric: str = ERROR, digits: int = 3) -> str:
    """One metric of every method on every row."""
    names = [name for name, method in results.methods.items() if method.kind != "samples"]
    lines = [[row, *(number(_network(results, metric, [row], name), digits) for name in names)]
             for row in results.scores]
    return table(["damage", *names], lines)


def gaps_table(results: Results, case: str) -> str:
    """2D error of lost points by the length of their gap, all levels of a case together."""
    rows = rows_of(results, case)
    names = [n for n, m in results.methods.items() if m.kind != "samples" and results.measured(n, rows)]
    lines = [[name, *(number(value(results.tally(name, f"gap {gap}", rows))) for gap in GAP_NAMES)] for name in names]
    return table([case, *(f"{gap} frames" if gap[0].isdigit() else gap for gap in GAP_NAMES)], lines)


def detail_table(results: Results, rows: Sequence[str]) -> str:
    """Everything else about the best baseline and the network."""
    metrics = ("error_3d", "hands_2d", "body_2d", "location_2d", "handshape_2d", "pck", "acceleration_2d",
               "acceleration_ratio", "bones", "untouched_2d")
    lines = []
    for row in rows:
        names = [best_baseline(results, ERROR, [row]), NETWORK]
        for name in names:
            if name is not None and results.measured(name, [row]):
                lines.append([f"{row}: {name}", *(number(_network(results, m, [row], name)) for m in metrics)])
    return table(["damage: method", *metrics], lines)


def steps_table(results: Results) -> str:
    """Error and acceleration ratio of the network at other numbers of steps, and of the ablations."""
    names = [NETWORK, *results.names("ablation")]
    rows = [row for row in results.scores if sum(results.measured(n, [row]) for n in names) > 1]
    lines = [[name, str(results.methods[name].calls), *(_pair(results, name, row) for row in rows)]
             for name in names if name in results.methods]
    return table(["method", "calls", *(f"{row}: error (acceleration ratio)" for row in rows)], lines)


def _pair(results: Results, name: str, row: str) -> str:
    error, pace = (_network(results, metric, [row], name) for metric in (ERROR, "acceleration_ratio"))
    return f"{number(error)} ({number(pace, 2)})" if math.isfinite(error) else "-"


def samples_table(results: Results) -> str:
    """What several samples are worth: errors, calibration, coverage."""
    lines = []
    for row, scores in results.scores.items():
        for name in results.names("samples"):
            if name in scores:
                score = scores[name]
                cells = [value(score.tallies[m]) for m in ("one_2d", "mean_2d", "best_2d", "coverage", "sharpness")]
                lines.append([f"{row}: {name}", *map(number, cells), number(score.calibration)])
    return table(["damage: method", "one sample", "mean of 8", "best of 8", "90 % interval covers", "its width",
                  "calibration error"], lines)


def cost_table(results: Results) -> str:
    """Calls of a network and mean milliseconds per clip."""
    lines = []
    for name, method in results.methods.items():
        times = [scores[name].milliseconds for scores in results.scores.values() if name in scores]
        if times:
            lines.append([name, method.kind, str(method.calls), f"{np.mean(times):.1f}"])
    return table(["method", "kind", "network calls", "milliseconds per clip"], lines)


def records(sets: dict[str, Results]) -> list[dict[str, str | float]]:
    """Every number with its bootstrapped 95 % interval, one per record: for the CSV and JSON files."""
    out: list[dict[str, str | float]] = []
    for part, results in sets.items():
        for row, scores in results.scores.items():
            for name, score in scores.items():
                metrics = [m for m, t in score.tallies.items() if t[1].sum() > 0]
                draws = bootstrap([score.tallies[m] for m in metrics], draws=200) if metrics else np.empty((0, 0))
                for metric, drawn in zip(metrics, draws):
                    low, high = interval(drawn)
                    out.append({"set": part, "damage": row, "method": name, "metric": metric,
                                "value": value(score.tallies[metric]), "low": low, "high": high})
                if math.isfinite(score.calibration):
                    out.append({"set": part, "damage": row, "method": name, "metric": "calibration_error",
                                "value": score.calibration, "low": math.nan, "high": math.nan})
    return out
