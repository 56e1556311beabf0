"""Refining captures of degraded video: how far they are from the capture of the video as it is.

    python benchmarks/degraded_video.py VIDEOS --model DIR --out table.md

Each video is captured with MediaPipe Holistic as it is (clean) and degraded (`evaluation/degrade.py`); the degraded
capture is refined and compared with the clean one. The clean one is no truth: it jitters and errs, too. The row
`copy that looks the same` shows what is left of every error when nothing is wrong with the video. Captures are kept in
--cache, so another model takes a minute; a first run needs MediaPipe (`pip install -e '.[mediapipe,preview]'`).
"""
from __future__ import annotations

import argparse
import os
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pose_format import Pose

from pose_diffusion.capture.rules import correct_capture
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import baselines
from pose_diffusion.evaluation.baselines import Run, stacked
from pose_diffusion.evaluation.captures import (
    NEAR,
    Scene,
    Tally,
    as_it_is,
    jitter,
    known,
    limits,
    on_clock,
    points,
    scene,
    tallies,
    tally,
    value,
)
from pose_diffusion.evaluation.degrade import CLEAN, COPY, DEGRADATIONS, Degradation, degrade
from pose_diffusion.evaluation.methods import FILTERS, FIXED, read_tuned
from pose_diffusion.evaluation.metrics import HANDS
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.tasks.refine import refine

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
TUNED_TO = ("jitter 1", "jitter 2", "jitter 3")  # simulated damage that the filters were tuned to: weak, middle, strong
RATIO, RECALL = .7, .95  # the targets
KEPT = ("kept hands", "kept body", "kept body, corrected")
ROUNDING = .0005  # shoulder widths by which kept points may be worse
AS_IT_IS, LIMITS = "as it is", "limits"
DEFAULT = "capture_refiner()"
NETWORKS: dict[str, tuple[dict[str, bool] | None, dict[str, Any]]] = {  # rules, settings of refine
    DEFAULT: ({"wrists": False}, {}),
    "rules={'wrists': True}": ({"wrists": True}, {}),
    "refine, no rules": (None, {}),
    "only_masked=True": ({"wrists": False}, {"only_masked": True}),
}  # yapf: disable
AFTER = ", at the captured rate, then PCHIP on the wrist"
Measured = dict[str, dict[str, Tally]]  # by method and metric


def capture(video: Path, how: Degradation, seconds: float, cache: Path) -> Pose:
    """MediaPipe Holistic's pose of a degraded video: from the cache, or captured and put there."""
    key = zlib.crc32(f"{how} {seconds} {video.stat().st_size}".encode())
    path = cache / f"{video.stem} {how.name} {key:08x}.pose"
    if not path.exists():
        from pose_format.utils.holistic import load_holistic  # imports MediaPipe
        from simple_video_utils.frames import read_frames_exact  # type: ignore[import-untyped]
        from simple_video_utils.metadata import video_metadata  # type: ignore[import-untyped]

        about = video_metadata(str(video))
        frames = islice(read_frames_exact(str(video)), max(1, round(seconds * about.fps)))
        size = about.width // how.shrink, about.height // how.shrink
        cache.mkdir(parents=True, exist_ok=True)
        write_pose(load_holistic(degrade(frames, how, about.fps), about.fps / how.every, *size, progress=True,
                                 additional_holistic_config={"static_image_mode": False}, reuse=False), path)
    return read_pose(path)


def baseline_methods() -> dict[str, Run]:
    """Every filling, and every filter after two of them, as it was tuned to three strengths of simulated jitter."""
    methods = {("hold" if name == "none" else name): run for name, (run, _) in FIXED.items()}
    fills = {"linear": baselines.linear_on_wrist, "PCHIP": baselines.pchip_on_wrist}
    for name, row in ((name, row) for name in FILTERS for row in TUNED_TO):
        settings = read_tuned()[name][row]
        smooth = FILTERS[name](**settings)
        told = ", ".join(f"{value:g}" for value in settings.values())
        for filling, fill in fills.items():
            methods[f"{filling} + {name} ({told})"] = stacked(partial(_filled, fill, smooth))
    return methods


def _filled(fill: baselines.Fill, smooth: baselines.Filter, xyz: np.ndarray, observed: np.ndarray) -> np.ndarray:
    return smooth(fill(xyz, observed))


def estimates(at: Scene, model: PoseDiffusion) -> Iterator[tuple[str, np.ndarray]]:
    """Every method's name and `(T, INNER, 2)`; the names of baselines on a capture corrected by rules end so."""
    for suffix, pose in (("", at.pose), (", rules", correct_capture(at.pose))):
        given = known(pose, at.clean, at.every, at.unit)
        for name, run in baseline_methods().items():
            yield name + suffix, run([given])[0][..., :2]
    for name, (rules, settings) in NETWORKS.items():
        pose = at.pose if rules is None else correct_capture(at.pose, **rules)
        yield name, points(refine(on_clock(pose, at.clean, at.every), model=model, **settings), at.unit)[0][..., :2]
        if at.every > 1:
            given = known(refine(pose, model=model, **settings), at.clean, at.every, at.unit)
            yield name + AFTER, stacked(baselines.pchip_on_wrist)([given])[0][..., :2]


def measured(at: Scene, model: PoseDiffusion) -> Measured:
    """All methods on a capture, and what could be had."""
    results = {AS_IT_IS: as_it_is(at), LIMITS: limits(at)}
    return results | {name: tallies(estimate, at) for name, estimate in estimates(at, model)}


def pooled(parts: Sequence[Measured]) -> Measured:
    """The same over several captures."""
    return {name: {metric: np.sum([part[name][metric] for part in parts], axis=0) for metric in row}
            for name, row in parts[0].items()}


def best(rows: Measured, metric: str) -> str:
    """The baseline with the smallest error, chosen after the fact."""
    names = [name for name in rows if name not in (AS_IT_IS, LIMITS) and not is_network(name)]
    return min(names, key=lambda name: value(rows[name][metric]))


def is_network(name: str) -> bool:
    """Whether a method is one of ours."""
    return name.removesuffix(AFTER) in NETWORKS


def figure(x: float) -> str:
    """A figure as the tables have it."""
    return "-" if np.isnan(x) else f"{x:.0f}" if x >= 100 else f"{x:.3f}".lstrip("0")


def line(cells: Sequence[object]) -> str:
    """A line of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(*cells: str) -> list[str]:
    """A table's first two lines; columns after the first are figures."""
    return [line(cells), line(["---"] + ["---:"] * (len(cells) - 1))]


def hands_table(results: dict[str, Measured]) -> list[str]:
    """The targets: errors and recall of hands."""
    out = head("degradation", "hands: best baseline", "error", "network", "ratio", "hands lost",
               "recovered: best baseline", "error", "network", "ratio", "recall: capture", f"network, within {NEAR}",
               f"recovered: best baseline of hands, within {NEAR}", f"network, within {NEAR}")
    for degradation, rows in results.items():
        ours, chosen = rows[DEFAULT], rows[best(rows, "hands")]
        near = [value(rows[AS_IT_IS]["near"]), value(ours["near"]),
                *(value(row["near recovered"]) for row in (chosen, ours))]
        lost = f"{ours['near recovered'][1]:.0f} of {ours['near'][1]:.0f}"
        out.append(line([degradation, *against_best(rows, "hands"), lost, *against_best(rows, "recovered"),
                         *map(figure, near)]))
    return out


def against_best(rows: Measured, metric: str) -> list[str]:
    """The best baseline's name, its error, the network's, their ratio."""
    name = best(rows, metric) if rows[DEFAULT][metric][1] else "-"
    theirs, ours = (value(rows[who][metric]) for who in (best(rows, metric), DEFAULT))
    return [name, figure(theirs), figure(ours), figure(over(ours, theirs))]


def limits_table(results: dict[str, Measured]) -> list[str]:
    """What could be had of the hands' error."""
    out = head("degradation", "capture, kept hands", "of it slow", "all hands: best baseline", "network",
               "if lost points were exact", "its ratio", "linear filter told the truth", "its ratio",
               *(f"recovered {what}: {who}" for what in ("wrist", "shape") for who in ("best baseline", "network")))
    for degradation, rows in results.items():
        base = value(rows[best(rows, "hands")]["hands"])
        told = [value(rows[LIMITS][metric]) for metric in ("lost exact", "fitted")]
        cells = [value(rows[AS_IT_IS]["kept hands"]), value(rows[LIMITS]["slow"]), base, value(rows[DEFAULT]["hands"]),
                 *(x for error in told for x in (error, over(error, base))),
                 *(value(rows[who][metric]) for metric in ("place", "shape") for who in (best(rows, metric), DEFAULT))]
        out.append(line([degradation, *map(figure, cells)]))
    return out


def over(ours: float, theirs: float) -> float:
    """A ratio; NaN over nothing."""
    return ours / theirs if theirs else float("nan")


def kept_table(results: dict[str, Measured]) -> list[str]:
    """Points that the degraded capture has, and jerk."""
    parts, who = ("kept body", "kept hands"), ("capture", "best baseline of hands", "network")
    out = head("degradation", *(f"{part}: {method}" for part in parts for method in who),
               "jerk of hands: clean", *(f"jerk: {method}" for method in who))
    clean = value(results[CLEAN.name][AS_IT_IS]["jerk"])
    for name, rows in results.items():
        chosen = [rows[method] for method in (AS_IT_IS, best(rows, "hands"), DEFAULT)]
        cells = [figure(value(row[metric])) for metric in parts for row in chosen]
        out.append(line([name, *cells, figure(clean), *(figure(value(row["jerk"])) for row in chosen)]))
    return out


def networks_table(results: dict[str, Measured]) -> list[str]:
    """Ways to refine."""
    metrics = ("hands", "recovered", "kept hands", "kept body", "kept body, corrected", "near", "near recovered")
    out = head("degradation: refined by", "hands: ratio to the best baseline", *metrics)
    for degradation, rows in results.items():
        base = value(rows[best(rows, "hands")]["hands"])
        for name, row in rows.items():
            if name == AS_IT_IS or is_network(name):
                ratio = np.nan if name == AS_IT_IS else over(value(row["hands"]), base)
                out.append(line([f"{degradation}: {name}", *map(figure, [ratio, *(value(row[m]) for m in metrics)])]))
    return out


def targets_table(results: dict[str, Measured]) -> list[str]:
    """The targets, for every way to refine: in how many degradations each is met."""
    out = head("refined by", "hands: ratio, geometric mean", "smallest", "largest", f"ratio at most {RATIO}",
               f"hands within {NEAR}: at least {RECALL}", *(f"{part}: not worse" for part in KEPT))
    for name in (f"{network}{after}" for network in NETWORKS for after in ("", AFTER)):
        pairs = [(rows, rows.get(name, rows[name.removesuffix(AFTER)])) for rows in results.values()]
        ratios = np.array([over(value(row["hands"]), value(rows[best(rows, "hands")]["hands"])) for rows, row in pairs])
        met = [list(ratios <= RATIO), [value(row["near"]) >= RECALL for _, row in pairs],
               *([value(row[part]) < value(rows[AS_IT_IS][part]) + ROUNDING for rows, row in pairs]
                 for part in KEPT)]
        out.append(line([name, *map(figure, (np.exp(np.nanmean(np.log(ratios))), np.nanmin(ratios), np.nanmax(ratios))),
                         *(f"{sum(those)} of {len(pairs)}" for those in met)]))
    return out


def harm_table(names: Sequence[str], clean: Sequence[Scene], copies: Sequence[Scene],
               results: Sequence[Measured]) -> list[str]:
    """How far points of the clean capture itself are moved, and its jitter."""
    out = head("video: points", *(f"moved by {name}" for name in NETWORKS), "jitter of the capture",
               "distance of a copy's capture / sqrt(2)")
    for video, at, copy, rows in zip(names, clean, copies, results):
        apart = np.linalg.norm(copy.given.xyz[..., :2] - at.truth, axis=-1)
        for part, chosen in (("body", ~HANDS), ("hands", HANDS)):
            moved = [figure(value(rows[name][f"kept {part}"])) for name in NETWORKS]
            own = value(jitter(at.truth, at.valid & chosen))
            again = value(tally(apart, copy.given.observed & at.valid & chosen)) / np.sqrt(2)
            out.append(line([f"{video}: {part}", *moved, figure(own), figure(again)]))
    return out


def report(videos: Sequence[Path], model: PoseDiffusion, seconds: float, cache: Path) -> str:
    """All tables as Markdown."""
    scenes: dict[str, list[Scene]] = {}
    for how in (CLEAN, COPY, *DEGRADATIONS):
        scenes[how.name] = [scene(capture(video, CLEAN, seconds, cache), capture(video, how, seconds, cache),
                                  how.shrink, how.every) for video in videos]
    single = {how: [measured(at, model) for at in those] for how, those in scenes.items()}
    results = {how: pooled(parts) for how, parts in single.items()}
    damaged = {how: rows for how, rows in results.items() if how != CLEAN.name}
    frames = ", ".join(f"{video.name} ({len(at.truth)} frames)" for video, at in zip(videos, scenes[CLEAN.name]))
    targets = {how.name: results[how.name] for how in DEGRADATIONS}
    harm = harm_table([video.stem for video in videos], scenes[CLEAN.name], scenes[COPY.name], single[CLEAN.name])
    text = [f"Videos: {frames}"]
    for title, table in {"Targets": targets_table(targets), "Hands": hands_table(damaged),
                         "What could be had": limits_table(damaged), "Kept points and jerk": kept_table(results),
                         "No harm: the clean capture itself": harm, "Ways to refine": networks_table(damaged)}.items():
        text += ["", f"## {title}", "", *table]
    for i, video in enumerate(videos):
        text += ["", f"## Hands: {video.stem}", "", *hands_table({how: single[how][i] for how in damaged})]
    return "\n".join(text) + "\n"


def find_videos(given: Sequence[Path]) -> list[Path]:
    """Files, and the videos in folders."""
    found = [path for one in given
             for path in (sorted(p for p in one.iterdir() if p.suffix.lower() in VIDEOS) if one.is_dir() else [one])]
    if missing := [path for path in found if not path.is_file()]:
        raise FileNotFoundError(f"{missing[0]}: there is no such video")
    return found


def main() -> None:
    """Print the tables."""
    data = Path(os.environ.get("POSE_DIFFUSION_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path, default=[data / "video"], metavar="VIDEO",
                        help="files or folders (default: video/ in the folder of POSE_DIFFUSION_DATA)")
    parser.add_argument("--model", metavar="DIR", help="folder of the model (default: the shipped one)")
    parser.add_argument("--seconds", type=float, default=10., metavar="N", help="of each video (default: 10)")
    parser.add_argument("--cache", type=Path, default=Path(".cache/video"), metavar="DIR",
                        help="where captures are kept (default: .cache/video)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the tables to this file")
    args = parser.parse_args()
    try:
        videos = find_videos(args.videos)
    except FileNotFoundError as error:
        parser.error(str(error))
    if not videos:
        parser.error(f"no video in {args.videos[0]}: name a file, or set POSE_DIFFUSION_DATA")
    text = report(videos, PoseDiffusion.from_pretrained(args.model), args.seconds, args.cache)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
