"""Signs composed one after the other, all at once, or made alone and joined: what is better?

    python benchmarks/compose_modes.py --pack .cache/pack.npz --recognizer runs/generation/recognizer

Sentences of three words that the recognition network of `generate_benchmark` tells apart are composed
from the first frame of a clip that was kept back. Printed are the share of the words that this network recognises in
their part of the sentence, by their place in it; and the jerk (third differences) of arms and hands where signs meet,
over that inside of them.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from tqdm import tqdm

from pose_diffusion import compose, generate, inbetween, predict_seconds
from pose_diffusion.clip import decode, encode
from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation.generation import Task, tasks, whole_people
from pose_diffusion.evaluation.joins import SHOWN
from pose_diffusion.evaluation.recognition import Recognition, load_recognition, prepare
from pose_diffusion.tasks.appearance import average_header, average_signer
from pose_diffusion.training.data import kept_back, load

WORDS, FPS, GAP = 3, 25.0, .2
GROUP = 64  # of clips that are recognised at once


@dataclass(frozen=True)
class Made:
    """A composed sentence: where each sign begins and ends, in frames."""

    pose: Pose
    spans: list[tuple[int, int]]


Mode = Callable[[Sequence[Task], Pose, int, PoseDiffusion], Made]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--recognizer", type=Path, required=True)
    parser.add_argument("--model", help="folder of the model (default: the shipped one)")
    parser.add_argument("--sentences", type=int, default=60)
    args = parser.parse_args()
    pack, model = load(args.pack), PoseDiffusion.from_pretrained(args.model)
    recognition = load_recognition(args.recognizer)
    kept = [clip for clip in kept_back(pack) if pack.sources[pack.source[clip]] in set(whole_people(pack))]
    found = tasks(pack, np.array(kept, np.int64), recognition.labels)
    rng = np.random.default_rng(0)
    drawn = [[found[i] for i in rng.choice(len(found), WORDS, replace=False)] for _ in range(args.sentences)]
    places = " | ".join(f"word {i + 1}" for i in range(WORDS))
    print(f"{len(drawn)} sentences\n| | {places} | all | jerk where signs meet |\n| --- |" + " ---: |" * (WORDS + 2))
    for name, mode in MODES.items():
        made = [mode(sentence, first_pose(sentence[0], model), i, model)
                for i, sentence in enumerate(tqdm(drawn, desc=name, leave=False))]
        hits = recognised(made, drawn, recognition)
        cells = " | ".join(f"{share:.2f}" for share in (*hits.mean(0), hits.mean()))
        print(f"| {name} | {cells} | {np.mean([meeting_jerk(one) for one in made]):.2f} |", flush=True)


def first_pose(task: Task, model: PoseDiffusion) -> Pose:
    """The first frame of a clip, in an average signer's place."""
    header, size = average_header(model.layout), average_signer(model)
    shape = (1, 1, header.total_points())
    blank = Pose(header, NumPyPoseBody(FPS, np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)))
    clip = encode(blank, model.layout, normalisations=[size])[0]
    return decode(replace(clip, xyz=task.xyz[:1], confidence=task.confidence[:1]))


def lengths(sentence: Sequence[Task], model: PoseDiffusion) -> list[int]:
    """Frames of each sign."""
    return [max(1, round(predict_seconds(task.text, model=model) * FPS)) for task in sentence]


def composed(sentence: Sequence[Task], first: Pose, seed: int, model: PoseDiffusion, *, together: bool,
             gap: float | None) -> Made:
    """All by `compose`."""
    pose = compose([task.text for task in sentence], first_pose=first, together=together, seconds=gap, seed=seed,
                   fps=FPS, model=model)
    way = round((gap or 0) * FPS)
    # with a way to it the first sign comes after the first pose; without one each begins with the frame before
    return Made(pose, spans(lengths(sentence, model), int(way > 0), way if way or together else -1, way))


def alone(sentence: Sequence[Task], first: Pose, seed: int, model: PoseDiffusion) -> Made:
    """Each by `generate`, from the same first pose, then joined."""
    frames = lengths(sentence, model)
    signs = [generate(task.text, first_pose=first, frames=n, fps=FPS, seed=seed + i, model=model)
             for i, (task, n) in enumerate(zip(sentence, frames))]
    return Made(inbetween(signs, seconds=GAP, seed=seed, model=model), spans(frames, 0, round(GAP * FPS)))


def spans(frames: Sequence[int], start: int, way: int, first_way: int = 0) -> list[tuple[int, int]]:
    """First frame and the one after the last of signs of so many frames, with so many between them."""
    out, end = [], start
    for i, n in enumerate(frames):
        begin = end + (way if i else first_way)
        end = begin + n
        out.append((begin, end))
    return out


MODES: dict[str, Mode] = {
    "one by one": partial(composed, together=False, gap=None),
    "together": partial(composed, together=True, gap=None),
    f"one by one, {GAP:g} s between": partial(composed, together=False, gap=GAP),
    f"together, {GAP:g} s between": partial(composed, together=True, gap=GAP),
    f"alone, joined by inbetween in {GAP:g} s": alone,
}


def recognised(made: Sequence[Made], sentences: Sequence[Sequence[Task]], recognition: Recognition) -> np.ndarray:
    """`(sentences, words)` bool."""
    clips, labels = [], []
    for one, sentence in zip(made, sentences):
        clip = encode(one.pose)[0]
        assert one.spans[-1][1] == len(clip.xyz), "the spans are those of the sentence"
        for (begin, end), task in zip(one.spans, sentence):
            clips.append((clip.xyz[begin:end], clip.confidence[begin:end]))
            labels.append(recognition.labels.index(task.label))
    with torch.no_grad():
        said = torch.cat([recognition(prepare(clips[i:i + GROUP])).argmax(1) for i in range(0, len(clips), GROUP)])
    return (said.numpy() == np.array(labels)).reshape(len(made), -1)


def meeting_jerk(one: Made) -> float:
    """Mean third difference in the image where signs meet, over that inside of them."""
    jerk = np.linalg.norm(np.diff(encode(one.pose)[0].xyz[:, SHOWN, :2], n=3, axis=0), axis=-1).mean(1)
    meeting = np.zeros(len(jerk), bool)
    for (_, end), (begin, _) in zip(one.spans, one.spans[1:]):
        meeting[max(0, end - 3):begin + 1] = True
    return float(jerk[meeting].mean() / jerk[~meeting].mean())


if __name__ == "__main__":
    main()
