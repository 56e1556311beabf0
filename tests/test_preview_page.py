from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody

from pose_diffusion.files import PoseFileError
from pose_diffusion.layout import BODY, FACE, LEFT_HAND, RIGHT_HAND
from pose_diffusion.preview_page import MISSING, SPAN, Panel, save_page
from tests.browser import STEADY_FRAMES, ask, screenshot
from tests.poses import component, constructed_pose, flat, lose, part


def page_of(poses: list[Pose], path: Path, **options: Any) -> dict[str, Any]:
    """Write a page and read the data in it."""
    panels = [Panel(pose, f"guidance {i}", f"{i}.5 s") for i, pose in enumerate(poses)]
    save_page(panels, path, **({"title": "a title"} | options))
    match = re.search('<script id="data" type="application/json">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert match
    return json.loads(match[1])


def points_of(panel: dict[str, Any], points: int) -> np.ndarray:
    """`(frames, points, 3)` as the page's script reads them."""
    return np.frombuffer(base64.b64decode(panel["xyz"]), "<i2").reshape(panel["frames"], points, 3)


def without_hand(pose: Pose, frames: slice) -> Pose:
    return lose(pose, frames, part(pose, RIGHT_HAND))


def test_every_panel_is_drawn_and_labelled(tmp_path: Path) -> None:
    page_of([constructed_pose(12, seed=i) for i in range(3)], tmp_path / "x.html", title="hello", description="8 steps")
    found = ask(tmp_path / "x.html", """return {ink: ink(), boxes: boxes(), title: document.title,
        text: [...document.querySelectorAll("figcaption")].map(e => e.innerText),
        names: canvases().map(e => [e.getAttribute("role"), e.getAttribute("aria-label")]),
        unnamed: [...document.querySelectorAll("button, input, select")]
            .filter(e => !(e.getAttribute("aria-label") || e.innerText || e.labels.length)).map(e => e.id)};""")
    assert found["title"] == "hello"
    assert found["text"] == ["guidance 0\n0.5 s", "guidance 1\n1.5 s", "guidance 2\n2.5 s"]
    assert found["names"][1] == ["img", "Moving skeleton: guidance 1. 1.5 s"]
    assert found["unnamed"] == []
    assert all(count > 0.005 * width * height for count, (_, _, width, height) in zip(found["ink"], found["boxes"]))
    assert len({top for _, top, _, _ in found["boxes"]}) == 1  # side by side


@pytest.mark.parametrize(("scheme", "paper"), [("1", (255, 255, 255)), ("0", (0x20, 0x22, 0x23))])
def test_the_screen_shows_body_and_hands_in_light_and_dark(tmp_path: Path, scheme: str, paper: tuple[int, ...]) -> None:
    page_of([constructed_pose(12), constructed_pose(12, seed=1)], tmp_path / "x.html")
    colours = f"--blink-settings=preferredColorScheme={scheme}"
    boxes = ask(tmp_path / "x.html", "return boxes();", colours, "--hide-scrollbars")
    picture = screenshot(tmp_path / "x.html", colours).astype(int)
    for left, top, width, height in boxes:
        panel = picture[int(top) + 2:int(top + height) - 2, int(left) + 2:int(left + width) - 2]
        drawn = np.abs(panel - paper).max(-1) > 60
        assert drawn.mean() < 0.2  # the rest is paper
        hands = panel[:, round(width - height / 2) + 3:]  # two squares, one above the other, at the right
        red, blue = hands[..., 0] - hands[..., 2] > 80, hands[..., 2] - hands[..., 0] > 80
        half = len(hands) // 2
        assert red[:half].sum() > 100
        assert blue[half:].sum() > 100
        assert red[half:].sum() == blue[:half].sum() == 0
        assert (drawn & (np.ptp(panel, axis=-1) < 30))[:, :round(width - height / 2)].sum() > 200  # the body is grey


def test_playing_pausing_and_keys(tmp_path: Path) -> None:
    page_of([constructed_pose(250)], tmp_path / "x.html")
    found = ask(tmp_path / "x.html", """
        const seen = {playing: element("play").innerText};
        await wait(1); seen.one = frame();
        element("speed").value = "0.25"; await wait(1); seen.slowly = frame() - seen.one;
        element("play").click(); seen.paused = element("play").innerText;
        const at = frame(); await wait(1); seen.moved = frame() - at;
        press("Home"); seen.home = frame(); press("End"); seen.end = frame();
        press("ArrowLeft"); seen.left = frame(); press("ArrowRight"); seen.right = frame();
        element("back").click(); seen.back = frame(); element("next").click(); seen.next = frame();
        element("scrub").value = 100; element("scrub").dispatchEvent(new Event("input"));
        seen.clock = element("clock").innerText; seen.spoken = element("scrub").getAttribute("aria-valuetext");
        press("f"); seen.faster = element("speed").value; press("s"); press("s"); seen.slower = element("speed").value;
        press("ArrowRight", element("speed")); seen.in_select = frame();
        press(" "); seen.again = element("play").innerText;
        return seen;""", first=STEADY_FRAMES)
    assert found["playing"] == "Pause"  # it plays on opening
    assert found["one"] == pytest.approx(25, abs=3)
    assert found["slowly"] == pytest.approx(6, abs=2)
    assert (found["paused"], found["moved"], found["again"]) == ("Play", 0, "Pause")
    assert [found[name] for name in ("home", "end", "left", "right", "back", "next")] == [0, 249, 248, 249, 248, 249]
    assert found["clock"] == found["spoken"] == "4.00 of 10.00 s"
    assert (found["faster"], found["slower"]) == ("0.5", "0.1")
    assert found["in_select"] == 100


def test_panels_of_other_frame_rates_and_lengths_run_by_one_clock(tmp_path: Path) -> None:
    still, fast = constructed_pose(1), constructed_pose(1, fps=50)
    poses = []
    for pose, frames, gone in ((still, 20, 10), (fast, 40, 20), (still, 5, 3)):
        body = NumPyPoseBody(pose.body.fps, pose.body.data.repeat(frames, 0), pose.body.confidence.repeat(frames, 0))
        poses.append(without_hand(Pose(pose.header, body), slice(gone, None)))
    page_of(poses, tmp_path / "x.html")
    ink = np.array(ask(tmp_path / "x.html", """
        press("Home"); const seen = [];
        for (let i = 0; i < 40; i++) { seen.push(ink()); press("ArrowRight"); }
        return seen;"""))
    for panel, gone in enumerate((20, 20, 6)):
        assert len(set(ink[:gone, panel])) == len(set(ink[gone:, panel])) == 1  # the short one holds its last frame
        assert ink[gone, panel] < ink[gone - 1, panel] - 100


def test_it_rests_where_motion_is_not_wanted(tmp_path: Path) -> None:
    page_of([constructed_pose(50)], tmp_path / "x.html")
    found = ask(tmp_path / "x.html", "await wait(1); return [element('play').innerText, frame(), ink()[0] > 0];",
                "--force-prefers-reduced-motion")
    assert found == ["Play", 0, True]


def test_text_stays_text(tmp_path: Path) -> None:
    nasty = '</script><img src=x onerror="alert(1)"> {{data}} <!-- & "quoted" \u2028 \U000f0000'
    pose = constructed_pose(2)
    save_page([Panel(pose, nasty, nasty)], tmp_path / "x.html", title=nasty, description=nasty)
    found = ask(tmp_path / "x.html", """return [document.querySelectorAll("img, iframe").length,
        document.querySelector("h1").textContent, document.querySelector("header p").textContent,
        document.querySelector("figcaption strong").textContent];""")
    assert found == [0, nasty, nasty, nasty]


def test_a_grid_has_the_columns_asked_for(tmp_path: Path) -> None:
    page_of([constructed_pose(2)] * 10, tmp_path / "x.html", columns=5)
    boxes = ask(tmp_path / "x.html", "return boxes();")
    assert len({top for _, top, _, _ in boxes}) == 2
    assert len({left for left, _, _, _ in boxes}) == 5
    assert all(0 <= left < left + width <= 1280 for left, _, width, _ in boxes)  # nothing to scroll to


def test_a_single_panel_fits_into_the_window(tmp_path: Path) -> None:
    page_of([constructed_pose(2)], tmp_path / "x.html")
    [[_, top, width, height]] = ask(tmp_path / "x.html", "return boxes();", "--window-size=2000,700")
    assert top + height < 700
    assert width > 400


def test_it_needs_no_other_file_and_no_network(tmp_path: Path) -> None:
    page_of([constructed_pose(2)], tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert re.findall(r"\b(?:src|href)\s*=\s*\S+", text) == ['href="data:,">']
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest", text)
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]


def test_points_and_limbs_are_those_of_the_pose(tmp_path: Path) -> None:
    pose = without_hand(constructed_pose(6), slice(2, 4))
    data = page_of([pose], tmp_path / "x.html")
    found = points_of(data["panels"][0], data["points"])
    right = next(part for part in data["parts"] if part["kind"] == "right")
    assert [part["kind"] for part in data["parts"]][-2:] == ["left", "right"]  # drawn over the rest
    assert right["limbs"] == [[right["start"] + i, right["start"] + i + 1] for i in range(20)]
    hand = found[:, right["start"]:right["stop"]]
    assert (hand[2:4, :, 0] == MISSING).all()
    assert (hand[[0, 1, 4, 5], :, 0] != MISSING).all()
    true = np.ma.getdata(pose.body.data)[0, 0, part(pose, RIGHT_HAND), :2]
    drawn = hand[0, :, :2].astype(float)
    scale = np.linalg.norm(np.diff(drawn, axis=0)) / np.linalg.norm(np.diff(true, axis=0))
    assert np.allclose(drawn - drawn[0], (true - true[0]) * scale, atol=1.5)  # rounded to units
    assert max(data["box"]) == pytest.approx(SPAN)
    assert data["panels"][0]["fps"] == 25


def test_body_points_are_left_out_where_face_and_hands_show_the_same(tmp_path: Path) -> None:
    whole = constructed_pose(3)
    alone = whole.get_components([BODY])
    for pose, count in ((whole, 8), (alone, 25)):  # without hips and legs: shoulders, elbows, wrists
        data = page_of([pose], tmp_path / "x.html")
        body = next(part for part in data["parts"] if part["kind"] == "body")
        assert body["stop"] - body["start"] == count - 2
    assert whole.body.data.shape[2] > 500


def test_far_points_and_flat_or_handless_poses_are_drawn(tmp_path: Path) -> None:
    pose = constructed_pose(60)
    far = pose.copy()
    far.body.data[50, 0, part(pose, LEFT_HAND)] += 1e30
    expected, data = page_of([pose], tmp_path / "x.html"), page_of([far], tmp_path / "y.html")
    assert np.allclose(data["box"], expected["box"], rtol=0.1)
    assert ask(tmp_path / "y.html", "press('End'); return ink()[0];") > 100
    page_of([flat(pose)], tmp_path / "z.html")
    assert ask(tmp_path / "z.html", "return ink()[0];") > 100
    page_of([pose.get_components([BODY, FACE])], tmp_path / "w.html")
    assert ask(tmp_path / "w.html", "return ink()[0];") > 100


def test_one_result_that_went_wrong_does_not_make_the_others_small(tmp_path: Path) -> None:
    good = [constructed_pose(20, seed=i) for i in range(3)]
    wild = constructed_pose(20)
    wild.body.data[..., :2] *= 30
    expected, data = page_of(good, tmp_path / "x.html"), page_of([*good, wild], tmp_path / "y.html")
    for page in (expected, data):
        page["shoulders"] = np.ptp(points_of(page["panels"][0], page["points"])[0, :2, 0])
    assert 0.4 * expected["shoulders"] < data["shoulders"] < expected["shoulders"]
    assert data["reach"] < 1.6 * expected["reach"] * data["shoulders"] / expected["shoulders"]
    assert min(ask(tmp_path / "y.html", "return ink();")[:3]) > 500


def test_the_poses_are_only_read(tmp_path: Path) -> None:
    pose = without_hand(constructed_pose(4), slice(1, 2))
    data, confidence = np.ma.getdata(pose.body.data).copy(), pose.body.confidence.copy()
    page_of([pose], tmp_path / "x.html")
    assert np.array_equal(data, np.ma.getdata(pose.body.data))
    assert np.array_equal(confidence, pose.body.confidence)


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    pose = constructed_pose(2)
    empty = lose(pose, slice(None), range(pose.body.data.shape[2]))
    for poses, message in (([], "1 to 64 panels, not 0"), ([pose] * 65, "1 to 64 panels, not 65"),
                           ([pose, pose.get_components([BODY])], "guidance 1: its points differ"),
                           ([constructed_pose(2, people=2)], "guidance 0: a panel shows one person, not 2"),
                           ([empty], "no frame has a point")):
        with pytest.raises(ValueError, match=message):
            page_of(poses, tmp_path / "x.html")
    with pytest.raises(PoseFileError, match=r"none/x\.html"):
        page_of([pose], tmp_path / "none" / "x.html")
    assert not list(tmp_path.iterdir())


def test_too_much_for_one_page_is_refused_before_it_is_worked_on(tmp_path: Path) -> None:
    header = constructed_pose(1).get_components([LEFT_HAND]).header
    header.components = [component(LEFT_HAND, header.components[0].points)]
    body = NumPyPoseBody(25, np.ones((10_000, 1, 21, 3), np.float32), np.ones((10_000, 1, 21), np.float32))
    with pytest.raises(ValueError, match="too long for one page"):
        page_of([Pose(header, body)] * 60, tmp_path / "x.html")
