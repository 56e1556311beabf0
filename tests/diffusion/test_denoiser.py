from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pose_diffusion.clip import encode
from pose_diffusion.diffusion.candidates import CANDIDATES, Start, average, start
from pose_diffusion.diffusion.choosing import OBSERVED, STRANGERS, doubt
from pose_diffusion.diffusion.condition import Condition
from pose_diffusion.diffusion.config import DenoiserConfig, checked_config
from pose_diffusion.diffusion.denoiser import Denoiser, Encoded
from pose_diffusion.diffusion.schedule import c_skip
from pose_diffusion.layout import BODY, HOLISTIC
from tests.models import TINY, observe, random_network
from tests.poses import constructed_pose

FRAMES, INNER = TINY.window, HOLISTIC.parts["face"].start
LEFT = HOLISTIC.parts["left_hand"]


@pytest.fixture(scope="module")
def network() -> Denoiser:
    return random_network()


@pytest.fixture(scope="module")
def people() -> Tensor:
    """`(3, T, K, 3)`."""
    return torch.stack([torch.from_numpy(encode(constructed_pose(FRAMES, seed=seed))[0].xyz) for seed in range(3)])


def begin(network: Denoiser, xyz: Tensor, *, exact: Tensor | None = None, **changes: Any) -> Start:
    """The left hand is lost for a while."""
    mask = torch.ones(xyz.shape[:3], dtype=torch.bool)
    mask[:, 10:18, LEFT] = False
    return start(network.filler, replace(observe(xyz, mask, None if exact is None else exact & mask), **changes))


def answer(network: Denoiser, read: Encoded, seed: int = 0) -> Tensor:
    """The decoder's, on noise at level 1."""
    noise = torch.randn(read.mean.shape[1:], generator=torch.Generator().manual_seed(seed))
    return network.decode(read, read.filled + read.spread * noise, torch.ones(len(read.mean)))


def test_shapes(network: Denoiser, people: Tensor) -> None:
    read = network.encode(begin(network, people))
    assert read.mean.shape == read.spread.shape == answer(network, read).shape == people.shape
    assert read.error.shape == people.shape[:3]
    assert (read.error > 0).all()


def test_every_input_has_a_say(network: Denoiser, people: Tensor) -> None:
    """So that the tests below can fail: the random network is not deaf to any of this."""
    read = network.encode(begin(network, people[:1]))
    moved = network.encode(begin(network, people[:1] * 1.1))
    later = network.encode(begin(network, people[:1], seconds=torch.arange(FRAMES).expand(1, -1) / 10.))
    text = Condition(torch.randn(1, 3, TINY.condition_width), torch.ones(1, 3, dtype=torch.bool))
    told = network.encode(begin(network, people[:1]), text)
    for other in (moved, later, told):
        assert (other.mean - read.mean).abs().max() > 1e-4
        assert (other.error - read.error).abs().max() > 1e-5
    assert (answer(network, read, 1) - answer(network, read, 2)).abs().max() > 1e-3


def test_exact_points_cannot_move(network: Denoiser, people: Tensor) -> None:
    exact = torch.zeros(people.shape[:3], dtype=torch.bool)
    exact[:, 4:] = True
    first = begin(network, people, exact=exact)
    read = network.encode(first)
    held = first.exact
    assert held.any()
    for features in (read.mean, answer(network, read)):
        assert torch.allclose(network.filler.points(features)[held], people[held], atol=1e-5)
    assert (read.spread[held] == 0).all()
    assert (read.error[held] == 0).all()
    assert (read.spread[~held] > 0).all()
    assert (read.error[~held] > 0).all()


def test_a_point_on_an_anchor_that_may_move_keeps_its_freedom(network: Denoiser, people: Tensor) -> None:
    """An exact finger on a noisy wrist: its feature must follow when the wrist does."""
    exact = torch.zeros(people.shape[:3], dtype=torch.bool)
    exact[:, :, LEFT.start + 4] = True
    spread = network.spread(begin(network, people, exact=exact))
    assert (spread[:, :, LEFT.start + 4] > 0).all()


def test_spread_grows_with_the_gap(network: Denoiser, people: Tensor) -> None:
    spread = network.spread(begin(network, people))[0, :, LEFT.start + 4, 0]
    assert (spread[10:14].diff() > 0).all()
    assert torch.allclose(spread[10:18], spread[10:18].flip(0), atol=1e-6)
    never = torch.zeros(1, FRAMES, len(HOLISTIC), dtype=torch.bool)
    unknown = network.spread(start(network.filler, observe(people[:1], never)))
    assert torch.equal(unknown, network.std.expand_as(unknown))


@pytest.mark.parametrize("shift", [.04, 60., 200.])
def test_where_in_a_video_a_window_lies_does_not_matter(network: Denoiser, people: Tensor, shift: float) -> None:
    seconds = (torch.arange(FRAMES) / 25).expand(len(people), -1)
    here = network.encode(begin(network, people, seconds=seconds))
    there = network.encode(begin(network, people, seconds=seconds + shift))
    assert torch.allclose(here.mean, there.mean, atol=1e-4)
    assert torch.allclose(here.error, there.error, atol=1e-3)
    assert torch.allclose(answer(network, here), answer(network, there), atol=1e-3)


def test_a_clip_does_not_see_its_batch(network: Denoiser, people: Tensor) -> None:
    together = network.encode(begin(network, people))
    for i in range(len(people)):
        alone = network.encode(begin(network, people[i:i + 1]))
        assert torch.allclose(alone.mean[0], together.mean[i], atol=1e-5)
        assert torch.allclose(alone.error[0], together.error[i], atol=1e-5)
        assert torch.allclose(answer(network, alone)[0], answer(network, together)[i], atol=1e-5)


def test_padding_is_not_seen(network: Denoiser, people: Tensor) -> None:
    """What stands in the padding changes nothing, and a longer window gives the same."""
    valid = torch.arange(FRAMES).expand(3, -1) < 21
    mask = valid.unsqueeze(-1).expand(-1, -1, len(HOLISTIC))
    observation = replace(observe(people, mask), valid=valid)
    read = network.encode(start(network.filler, observation))
    other = start(network.filler, replace(observation, seconds=observation.seconds + ~valid * 100.))
    junk = [torch.where(valid.view(3, FRAMES, *[1] * (x.dim() - 2)), x, torch.full_like(x, 3.)) if x.is_floating_point()
            else x for x in (other.filled, other.candidates, other.face)]
    spoilt = network.encode(replace(other, filled=junk[0], candidates=junk[1], face=junk[2]))
    assert torch.allclose(read.mean[:, :20], spoilt.mean[:, :20], atol=1e-5)
    assert torch.allclose(read.error[:, :21], spoilt.error[:, :21], atol=1e-5)
    noise = torch.randn(read.mean.shape, generator=torch.Generator().manual_seed(0))
    one, other_noise = (torch.where(valid[..., None, None], noise, noise + shift) for shift in (0., 1.))
    quiet, loud = (network.decode(read, read.filled + read.spread * n, torch.ones(3)) for n in (one, other_noise))
    assert torch.equal(quiet[valid], loud[valid])


def test_masked_text_is_not_heard(network: Denoiser, people: Tensor) -> None:
    tokens = torch.randn(3, 4, TINY.condition_width, generator=torch.Generator().manual_seed(0))
    deaf = Condition(tokens, torch.zeros(3, 4, dtype=torch.bool))
    without, told = network.encode(begin(network, people)), network.encode(begin(network, people), deaf)
    assert torch.allclose(without.mean, told.mean, atol=1e-6)


def test_noise_without_an_end_is_the_mean(network: Denoiser, people: Tensor) -> None:
    """With the skip connection of EDM the answer stays within what is unknown, whatever the noise level."""
    read = network.encode(begin(network, people))
    for sigma in (.002, 1., 80.):
        noise = sigma * torch.randn(read.mean.shape, generator=torch.Generator().manual_seed(0))
        clean = network.decode(read, read.filled + read.spread * noise, torch.full((3,), sigma))
        assert clean.isfinite().all()
        assert ((clean - read.mean).abs() <= 20 * read.spread + 1e-5).all()
    x = read.filled + .002 * read.spread
    assert torch.allclose(network.decode(read, x, torch.full((3,), .002)), x, atol=.02)


def test_an_untrained_network_chooses_between_the_classical_estimates(people: Tensor) -> None:
    torch.manual_seed(0)
    network = Denoiser(TINY).eval()
    first = begin(network, people)
    read = network.encode(first)
    mean = average(first, INNER).expand(-1, FRAMES, -1, -1)
    choices = torch.cat([first.candidates, mean.unsqueeze(-2)], dim=-2)
    inner, face = read.mean[:, :, :INNER], read.mean[:, :, INNER:]
    assert ((inner > choices.amin(-2) - 1e-5) & (inner < choices.amax(-2) + 1e-5)).all()
    assert ((face > first.face.amin(-2) - 1e-5) & (face < first.face.amax(-2) + 1e-5)).all()
    x = read.filled + read.spread
    skip = c_skip(torch.ones(()), read.doubt)
    assert torch.allclose(network.decode(read, x, torch.ones(3)), torch.lerp(read.mean, x, skip), atol=1e-5)


def test_the_decoder_leaves_alone_what_the_encoder_is_sure_of(network: Denoiser, people: Tensor) -> None:
    read = network.encode(begin(network, people))
    x = read.filled + read.spread
    sure, unsure = (replace(read, doubt=torch.full_like(read.doubt, doubt)) for doubt in (.02, 1.))
    moved, left = ((network.decode(r, x, torch.ones(3)) - read.mean).abs().mean() for r in (unsure, sure))
    assert left < .05 * moved


def test_doubt_is_the_error_that_is_not_the_anchors(network: Denoiser, people: Tensor) -> None:
    """Two errors that add up by their squares: a finger's is its wrist's and its own, but never less than half."""
    finger, known = LEFT.start + 4, torch.ones(1, 1, len(HOLISTIC), dtype=torch.bool)
    error, spread = torch.full((1, 1, len(HOLISTIC)), .05), torch.full((1, 1, len(HOLISTIC), 3), .1)
    doubts = []
    for wrist in (0., .03, .05, 9.):
        error[..., LEFT.start] = wrist
        doubts.append(float(doubt(network.filler, error, known, spread)[0, 0, finger, 0]))
    assert [doubt / OBSERVED for doubt in doubts] == pytest.approx([.4, .32, .2, .2])
    assert float(doubt(network.filler, error, ~known, spread)[0, 0, finger, 0]) == pytest.approx(.2 * STRANGERS)
    assert doubt(network.filler, error, known, 0 * spread).isfinite().all()


def test_the_encoder_doubts_what_it_expects_to_be_wrong(network: Denoiser, people: Tensor) -> None:
    first = begin(network, people)
    read = network.encode(first)
    assert torch.equal(read.doubt, doubt(network.filler, read.error, first.known, read.spread))
    assert not read.doubt.requires_grad


@pytest.mark.parametrize(("changes", "word"), [
    ({"width": 10**9}, "width"), ({"width": 25}, "width"), ({"window": 33}, "window"), ({"heads": 0}, "heads"),
    ({"heads": True}, "heads"), ({"width": 24.0}, "width"), ({"layout": "hand"}, "layout"), ({"dropout": 1}, "dropout"),
    ({"depth": 3}, "depth"), ({"encoder_layers": "4"}, "encoder_layers"),
])
def test_sizes_from_a_file_are_checked(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        checked_config({**TINY.as_dict(), **changes})


def test_a_good_configuration_is_taken() -> None:
    assert checked_config(TINY.as_dict()) == TINY
    assert checked_config({}) == DenoiserConfig()


def test_one_candidate_can_be_chosen_for_a_point(people: Tensor) -> None:
    """The mean is a choice between the candidates, point by point: with all weight on one it is that one."""
    network = random_network()
    network.choice.weight.zero_()
    network.residual.weight.zero_()
    network.residual.bias.zero_()
    first = begin(network, people)
    elbow = HOLISTIC.index(BODY, "LEFT_ELBOW")
    for i, name in enumerate(CANDIDATES[:first.candidates.shape[-2]]):  # the others belong to the window
        network.choice.bias.zero_()
        network.choice.bias[i] = 50
        chosen = network.encode(first).mean
        assert torch.allclose(chosen[:, :, elbow], first.candidates[:, :, elbow, i], atol=1e-5), name


def test_what_fills_observations_is_made_once_and_anew_when_statistics_change() -> None:
    network = random_network()
    before = network.filler
    assert network.filler is before
    network.set_statistics({"mean": network.mean + 1, "side_window_rest": torch.tensor(.5),
                            "body_window_variances": torch.ones_like(network.get_buffer("body_window_variances"))})
    after = network.filler
    assert after is not before
    assert network.filler is after
    assert torch.equal(after.mean, network.mean)
    assert after.body_window.fitted
    assert not after.side_window.fitted
    assert float(after.side_window.rest) == .5
    network.load_state_dict(random_network(seed=1).state_dict())
    assert not network.filler.body_window.fitted
    network.set_statistics({"mean": network.mean + 1})
    network.load_state_dict(random_network(seed=1).state_dict(), assign=True)
    assert torch.equal(network.filler.mean, network.mean)
    assert torch.equal(network.double().filler.mean, network.mean)
    assert network.filler.mean.dtype == torch.float64
