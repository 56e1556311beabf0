"""The benchmark of generation: figures of real clips, of baselines and of a model, its curves, lengths and joins."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np
from tqdm import tqdm

from pose_diffusion.diffusion.model import PoseDiffusion
from pose_diffusion.evaluation import generation_metrics as metrics
from pose_diffusion.evaluation import joins
from pose_diffusion.evaluation.baselines import Run
from pose_diffusion.evaluation.cases import TUNING, UNSEEN
from pose_diffusion.evaluation.generation import (
    Clip,
    Neighbours,
    Task,
    exchanged,
    generate,
    predicted_lengths,
    tasks,
    whole_people,
)
from pose_diffusion.evaluation.network import network
from pose_diffusion.evaluation.recognition import Recognition, prepare, recognise, word
from pose_diffusion.tasks.inbetween import STEPS as STEPS_OF_WAYS
from pose_diffusion.tasks.sampling import TEMPERATURE
from pose_diffusion.training.data import Pack, kept_back

GUIDANCE = (0., 1., 1.5, 2., 3., 4., 6.)
STEPS = (1, 2, 4, 8, 16, 50)
USUAL_STEPS, USUAL_GUIDANCE = 8, 1.5
REAL, ANOTHER, NEAREST, MEAN, HELD = ("real clips", "another real clip of the signer", "nearest neighbour", "mean clip",
                                      "first pose held")
MODEL, LENGTH, ALONE = "generated", "generated, length predicted", "generated, first pose not told"
EXCHANGED, SILENT = "generated, first pose of another word", "generated, text not told"
TRUTH = "real"
JOIN_STEPS = {"network": (STEPS_OF_WAYS, TEMPERATURE), "network, 1 step": (1, 1.), "network, temperature 1": (8, 1.)}

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How much is measured: clips of the curves, clips and seeds of diversity, joins to train judges on and batches of
    that training, and every so manyth clip of the sets.
    """

    curve: int = 240
    diverse: int = 48
    seeds: int = 4
    joins: int = 700
    judging: int = 400
    every: int = 1


QUICK = Size(curve=24, diverse=8, seeds=3, joins=80, judging=60, every=20)


@dataclass(frozen=True, eq=False)
class Setting:
    """What everything is measured with."""

    pack: Pack
    model: PoseDiffusion
    recognition: Recognition
    neighbours: Neighbours
    sets: dict[str, list[Task]]
    size: Size
    seed: int


@dataclass(frozen=True)
class Results:
    """Everything measured, ready to be written as JSON.

    Attributes
    ----------
    rows : dict
        By set of clips and row: figures.
    hits : dict
        By set and row: whether each clip was recognised.
    guidance, steps : dict
        Figures by scale and by number of steps, on some of the clips kept back.
    best : float
        The scale at which most clips were recognised.
    diversity, lengths, joins : dict
        Figures by row.
    """

    rows: dict[str, dict[str, Figures]] = field(default_factory=dict)
    hits: dict[str, dict[str, list[bool]]] = field(default_factory=dict)
    guidance: dict[float, Figures] = field(default_factory=dict)
    steps: dict[int, Figures] = field(default_factory=dict)
    best: float = USUAL_GUIDANCE
    diversity: Figures = field(default_factory=dict)
    lengths: dict[str, Figures] = field(default_factory=dict)
    joins: dict[str, Figures] = field(default_factory=dict)


def prepare_setting(pack: Pack, model: PoseDiffusion, recognition: Recognition, train: dict[str, list[int]], size: Size,
                    seed: int) -> Setting:
    """Gather what is measured on: clips kept back of training signers, and unseen signers.

    Parameters
    ----------
    pack : Pack
        With texts.
    model : PoseDiffusion
        With a text encoder.
    recognition : Recognition
        Trained on `train`.
    train : dict
        Training clips by class.
    size : Size
        How much to measure.
    seed : int
        Of everything that is drawn.
    """
    signers = set(whole_people(pack))
    back = np.array([clip for clip in kept_back(pack) if pack.sources[pack.source[clip]] in signers], np.int64)
    sets = {"kept back": tasks(pack, back, recognition.labels)[::size.every],
            "unseen": tasks(pack, pack.select(whole_people(pack, UNSEEN)), recognition.labels)[::size.every]}
    neighbours = Neighbours(pack, [clip for clips in train.values() for clip in clips])
    sets = {name: some for name, some in sets.items() if some}
    return Setting(pack, model, recognition, neighbours, sets, size, seed)


def measure(setting: Setting) -> Results:
    """Measure everything; shows progress bars."""
    some = _evenly(next(iter(setting.sets.values())), setting.size.curve)
    guidance = {scale: _figures(setting, some, _made(setting, some, f"guidance {scale:g}", guidance=scale))[0]
                for scale in GUIDANCE}
    best = max(GUIDANCE, key=lambda scale: (guidance[scale]["recognised"], -guidance[scale]["ndtw"]))
    steps = {count: _figures(setting, some, _made(setting, some, f"{count} steps", steps=count, guidance=best))[0]
             for count in STEPS}
    rows: dict[str, dict[str, Figures]] = {}
    hits: dict[str, dict[str, list[bool]]] = {}
    for name, clips in setting.sets.items():
        rows[name], hits[name] = {}, {}
        for row, made in _rows(setting, name, clips, best):
            rows[name][row], hits[name][row] = _figures(setting, clips, made)
    return Results(rows, hits, guidance, steps, best, _diversity(setting, best), _lengths(setting), _joins(setting))


def _evenly(clips: list[Task], count: int) -> list[Task]:
    return [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, min(count, len(clips))).astype(int))]


def _made(setting: Setting, some: Sequence[Task], name: str, *, steps: int = USUAL_STEPS, guidance: float,
          seed: int = 0, lengths: Sequence[int] | None = None, told: bool = True, posed: bool = True) -> list[Clip]:
    out: list[Clip] = []
    with tqdm(total=len(some), desc=name, unit="clip") as bar:
        for batch in generate(setting.model, some, steps=steps, guidance=guidance, seed=setting.seed + seed,
                              lengths=lengths, told=told, posed=posed):
            out.extend(batch)
            bar.update(len(batch))
    return out


def _rows(setting: Setting, name: str, some: list[Task], guidance: float) -> Iterator[tuple[str, list[Clip | None]]]:
    """The rows of a set, made one by one; None where a baseline has no clip."""
    near = setting.neighbours
    yield REAL, [task.truth for task in some]
    if name == "kept back":  # of unseen signers there are no other clips
        yield ANOTHER, [other.truth if (other := near.another(task)) else None for task in some]
    yield NEAREST, [other.truth if (other := near.nearest(task)) else None for task in some]
    yield MEAN, [near.mean(task) for task in some]
    yield HELD, [(np.repeat(task.xyz[:1], len(task.xyz), 0), np.repeat(task.confidence[:1], len(task.xyz), 0))
                 for task in some]
    made = partial(_made, setting, guidance=guidance)
    yield MODEL, [*made(some, name)]
    yield LENGTH, [*made(some, f"{name}: length", lengths=predicted_lengths(setting.model, some)[2])]
    yield ALONE, [*made(some, f"{name}: text alone", posed=False)]
    yield EXCHANGED, [*made(exchanged(some), f"{name}: exchanged")]
    yield SILENT, [*made(some, f"{name}: silent", told=False)]


def _figures(setting: Setting, some: Sequence[Task], made: Sequence[Clip | None]) -> tuple[Figures, list[bool]]:
    """What a table says of a row, and which clips were recognised; a missing clip is not recognised."""
    kept = [(task, clip) for task, clip in zip(some, made) if clip is not None]
    if not kept:
        return {"clips": 0., "recognised": 0.}, [False] * len(some)
    clips, truths = [clip for _, clip in kept], [task.truth for task, _ in kept]
    probabilities, features = recognise(setting.recognition, prepare(clips))
    _, real = recognise(setting.recognition, prepare([task.truth for task in some]))
    right = iter(metrics.recognised(probabilities, [task.label for task, _ in kept], setting.recognition.labels))
    hits = [bool(next(right)) if clip is not None else False for clip in made]
    figures = {
        "clips": float(len(kept)), "recognised": float(np.mean(hits)),
        "frechet": metrics.frechet(features, real),
        "ndtw": float(metrics.ndtw_mje(list(zip(truths, clips))).mean()),
        "motion": metrics.moving(clips, 1, truths) / metrics.moving(truths, 1),
        "jerk": metrics.moving(clips, 3, truths) / metrics.moving(truths, 3),
        "bones": metrics.hand_bones(clips, truths), "broken": metrics.broken_fingers(clips, truths),
    }
    return figures, hits


def _diversity(setting: Setting, guidance: float) -> Figures:
    """Mean distance of clips of the same sign: generated with different seeds from the same first pose; real ones by
    the same signer; of these, one and the one that begins most alike.
    """
    some = _evenly(next(iter(setting.sets.values())), setting.size.diverse)
    seeds = [_made(setting, some, f"seed {seed}", guidance=guidance, seed=seed) for seed in range(setting.size.seeds)]
    near = setting.neighbours
    made = [metrics.apart(a[i], b[i]) for i in range(len(some)) for a, b in combinations(seeds, 2)]

    def real(find: Callable[[Task], Task | None]) -> float:
        pairs = [(task, other) for task in some if (other := find(task))]
        return float(np.nanmean([metrics.apart(task.truth, other.truth) for task, other in pairs])) if pairs else np.nan

    return {"generated, other seeds": float(np.nanmean(made)), ANOTHER: real(near.another),
            "real clip that begins most alike": real(near.nearest)}


def _lengths(setting: Setting) -> dict[str, Figures]:
    """Calibration of the lengths of the clips kept back, and of letters in languages that were not trained on."""
    out = {}
    back = next(iter(setting.sets.values()))
    mean, std, _ = predicted_lengths(setting.model, back)
    out["kept back"] = metrics.calibration(mean, std, np.array([setting.pack.seconds(task.clip) for task in back]))
    letters = [task for name in TUNING if name.startswith("lexicon-") and name in setting.pack.sources
               for task in _letters(setting.pack, name)][::setting.size.every]
    if letters:
        mean, std, _ = predicted_lengths(setting.model, letters)
        seconds = np.array([setting.pack.seconds(task.clip) for task in letters])
        out["letters of unseen languages"] = metrics.calibration(mean, std, seconds)
    return out


def _letters(pack: Pack, source: str) -> list[Task]:
    clips = pack.select([source])
    return tasks(pack, clips, [said for clip in clips.tolist() if (said := word(pack.texts.get(clip, ())))])


def _joins(setting: Setting) -> dict[str, Figures]:
    """Errors, jerk and blind pairing of joins on unseen signers and languages."""
    pack, rng = setting.pack, np.random.default_rng(setting.seed)
    signers = np.setdiff1d(pack.select(whole_people(pack)), kept_back(pack))
    train = joins.cut(pack, rng.permutation(signers)[:setting.size.joins].tolist(), setting.seed)
    unseen = pack.select([name for name in UNSEEN if name in pack.sources])[::setting.size.every]
    test = joins.cut(pack, unseen.tolist(), setting.seed + 1)
    if not train or not test:
        return {}
    methods: dict[str, Run] = dict(joins.BASELINES)
    methods |= {name: network(setting.model, steps=steps, only_masked=True, temperature=temperature)
                for name, (steps, temperature) in JOIN_STEPS.items()}
    real = [join.truth for join in test]
    seen = {TRUTH: joins.views(train, [join.truth for join in train])}, {TRUTH: joins.views(test, real)}
    out: dict[str, Figures] = {TRUTH: {"jerk": float(joins.jerks(test, real).mean()), "clips": float(len(test))}}
    for name, method in tqdm(methods.items(), desc="joins", unit="method"):
        filled = joins.fill(test, method)
        out[name] = {"error": float(joins.errors(test, filled).mean()), "jerk": float(joins.jerks(test, filled).mean())}
        seen[0][name], seen[1][name] = joins.views(train, joins.fill(train, method)), joins.views(test, filled)
    for name, shares in joins.pairing(*seen, TRUTH, setting.seed, setting.size.judging).items():
        out[name] |= shares
    return out
