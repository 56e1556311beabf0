"""Tables and curves of the benchmark of generation."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from pose_diffusion.evaluation.generation_benchmark import (
    HELD,
    JOIN_STEPS,
    MODEL,
    REAL,
    TRUTH,
    USUAL_STEPS,
    Figures,
    Results,
)
from pose_diffusion.evaluation.joins import BASELINES
from pose_diffusion.evaluation.metrics import interval
from pose_diffusion.evaluation.report import number, table

LONG = {"kept back": "clips kept back of training signers", "unseen": "unseen signers"}
RECOGNISED, JOIN_ERROR, WITHIN = .9, .95, .05  # targets
FEW, MANY = 4, 50  # steps that are compared
DRAWS = 1000
COLUMNS = {
    "recognised": "recognised", "frechet": "Frechet", "ndtw": "nDTW-MJE", "motion": "motion / real",
    "jerk": "jerk / real", "bones": "bones vary", "broken": "broken fingers",
}  # yapf: disable
DIGITS = {"recognised": 3, "frechet": 2, "motion": 2, "jerk": 2}
PANEL, MARGIN = (250, 170), 46  # pixels of the curves


def markdown(results: Results) -> str:
    """All tables, each with what it shows."""
    parts = {"Targets": targets_table(results)}
    for name, rows in results.rows.items():
        parts[f"Generated clips: {LONG[name]}"] = rows_table(rows)
    parts[f"Guidance ({USUAL_STEPS} steps)"] = curve_table("guidance", results.guidance)
    parts[f"Steps (guidance {results.best:g})"] = curve_table("steps", results.steps)
    parts["Diversity"] = table(["clips of the same sign", "mean distance (SW)"],
                               [[name, number(value)] for name, value in results.diversity.items()])
    parts["Lengths"] = lengths_table(results.lengths)
    if results.joins:
        parts["Joins: unseen signers and languages, .2 to .5 s"] = joins_table(results.joins)
    return "".join(f"## {title}\n\n{text}\n" for title, text in parts.items())


def rows_table(rows: Mapping[str, Figures]) -> str:
    """A line per row of a set."""
    return table(["", *COLUMNS.values()], [[name, *_cells(figures)] for name, figures in rows.items()])


def curve_table(name: str, curve: Mapping[float, Figures] | Mapping[int, Figures]) -> str:
    """A line per value of an option."""
    return table([name, *COLUMNS.values()], [[f"{value:g}", *_cells(figures)] for value, figures in curve.items()])


def _cells(figures: Figures) -> list[str]:
    return [number(figures.get(key, math.nan), DIGITS.get(key, 3)) for key in COLUMNS]


def lengths_table(lengths: Mapping[str, Figures]) -> str:
    """A line per set: errors and calibration of the predicted lengths."""
    columns = {"clips": "clips", "error": "mean error (s)", "bias": "bias (ln)", "covered 50": "in the middle 50 %",
               "covered 90": "in the middle 90 %", "pit": "PIT off by", "crps": "CRPS (s)",
               "crps constant": "CRPS of one length for all (s)"}
    return table(["", *columns.values()],
                 [[name, *(number(figures[key], 0 if key == "clips" else 3) for key in columns)]
                  for name, figures in lengths.items()])


def joins_table(joins: Mapping[str, Figures]) -> str:
    """A line per method: its error, jerk at the edges, and how often it is taken for real."""
    columns = {"error": "error (SW)", "jerk": "jerk at the edges", "of one": "taken for real, judge of one",
               "of all": "taken for real, judge of all"}
    return table(["", *columns.values()], [[name, *(number(figures.get(key, math.nan), 4 if key in ("error", "jerk")
                                                            else 3) for key in columns)]
                                            for name, figures in joins.items()])


def targets(results: Results) -> list[tuple[str, str, str, bool]]:
    """`(what, wanted, found, whether reached)`."""
    out = []
    for name, rows in results.rows.items():
        ratio = rows[MODEL]["recognised"] / rows[REAL]["recognised"] if rows[REAL]["recognised"] else math.nan
        low, high = recognition_interval(results.hits[name])
        out.append((f"recognised, share of real clips: {LONG[name]}", f"at least {number(RECOGNISED, 1)}",
                    f"{number(ratio)} ({number(low)} to {number(high)})", ratio >= RECOGNISED))
        held = rows[HELD]["recognised"]
        out.append((f"... and more often than the first pose held: {LONG[name]}", f"over {number(held)}",
                    number(rows[MODEL]["recognised"]), rows[MODEL]["recognised"] > held))
        ours, real = rows[MODEL]["bones"], rows[REAL]["bones"]
        out.append((f"variation of hands' bones: {LONG[name]}", f"at most {number(real)}", number(ours), ours <= real))
    out.append(_few_steps(results))
    return out + (_join_targets(results.joins) if results.joins else [])


def _few_steps(results: Results) -> tuple[str, str, str, bool]:
    few, many = results.steps[FEW], results.steps[MANY]
    worse = {key: few[key] / many[key] - 1 for key in ("frechet", "ndtw", "bones", "broken") if many[key]}
    worse["recognised"] = 1 - few["recognised"] / many["recognised"] if many["recognised"] else math.nan
    worst = max(worse, key=lambda key: worse[key])
    return (f"{FEW} steps against {MANY}: worst figure", f"at most {WITHIN:.0%} worse",
            f"{worse[worst]:+.0%} ({COLUMNS[worst]})", worse[worst] <= WITHIN)


def _join_targets(joins: Mapping[str, Figures]) -> list[tuple[str, str, str, bool]]:
    one, several, *_ = JOIN_STEPS
    best = min(joins[name]["error"] for name in BASELINES)
    ratio = joins[one]["error"] / best
    out = [(f"joins: error over that of the best baseline, {one}", f"at most {number(JOIN_ERROR, 2)}", number(ratio),
            ratio <= JOIN_ERROR)]
    for name in (one, several):
        out.append((f"joins: jerk at the edges, {name}", f"at most {number(joins[TRUTH]['jerk'], 4)}",
                    number(joins[name]["jerk"], 4), joins[name]["jerk"] <= joins[TRUTH]["jerk"]))
        for judge in ("of one", "of all"):
            top = max(joins[base][judge] for base in BASELINES)
            out.append((f"joins taken for real, judge {judge}, {name}", f"over {number(top)}",
                        number(joins[name][judge]), joins[name][judge] > top))
    return out


def targets_table(results: Results) -> str:
    """A line per target."""
    return table(["target", "wanted", "found", "reached"],
                 [[what, wanted, found, "yes" if reached else "**no**"]
                  for what, wanted, found, reached in targets(results)])


def recognition_interval(hits: Mapping[str, Sequence[bool]], seed: int = 0) -> tuple[float, float]:
    """The middle 95 % of the ratio of recognised generated clips to real ones over resampled clips (paired)."""
    ours, real = (np.asarray(hits[row], float) for row in (MODEL, REAL))
    weights = np.random.default_rng(seed).multinomial(len(real), np.full(len(real), 1 / len(real)), size=DRAWS)
    below = weights @ real
    return interval(np.where(below > 0, (weights @ ours) / np.maximum(below, 1), np.nan))


def curves(results: Results) -> str:
    """An SVG: recognised, Frechet distance, nDTW-MJE and jerk over guidance (above) and steps (below)."""
    keys = ("recognised", "frechet", "ndtw", "jerk")
    width, height = (PANEL[0] + MARGIN) * len(keys) + MARGIN, (PANEL[1] + 2 * MARGIN) * 2
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
           'font-size="12">', f'<rect width="{width}" height="{height}" fill="#fff"/>']
    lines: list[tuple[str, Mapping]] = [("guidance", results.guidance), ("steps", results.steps)]
    for row, (option, curve) in enumerate(lines):
        for column, key in enumerate(keys):
            at = (MARGIN + column * (PANEL[0] + MARGIN), MARGIN + row * (PANEL[1] + 2 * MARGIN))
            out += _panel(at, f"{COLUMNS[key]} over {option}", {x: f[key] for x, f in curve.items()}, option == "steps")
    return "\n".join([*out, "</svg>"]) + "\n"


def _panel(at: tuple[float, float], title: str, points: Mapping[float, float], doubling: bool) -> list[str]:
    """One curve; `doubling` spaces the values by their logarithm."""
    xs = [math.log2(x) if doubling else float(x) for x in points]
    ys = [y if math.isfinite(y) else 0. for y in points.values()]
    top = max(*ys, 1e-9) * 1.1
    across, up = PANEL[0] / max(xs[-1] - xs[0], 1e-9), PANEL[1] / top
    left, base = at[0], at[1] + PANEL[1]
    dots = [(left + (x - xs[0]) * across, base - y * up) for x, y in zip(xs, ys)]
    out = [f'<text x="{left}" y="{at[1] - 12}" fill="#111">{escape(title)}</text>',
           f'<path d="M{left} {at[1]}V{base}H{left + PANEL[0]}" fill="none" stroke="#666"/>',
           f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in dots)}" fill="none" stroke="#0057b8" '
           'stroke-width="2"/>']
    for share in (0., .5, 1.):
        value = share * top / 1.1
        y = base - value * up
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{value:.2g}</text>')
        out.append(f'<path d="M{left - 4} {y:.1f}h4" stroke="#666"/>')
    for name, (x, y) in zip(points, dots):
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0057b8"/>')
        out.append(f'<text x="{x:.1f}" y="{base + 16}" text-anchor="middle" fill="#444">{name:g}</text>')
    return out
