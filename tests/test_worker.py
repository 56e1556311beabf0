"""The worker: the package's own results, and nothing that a parent, a file or a request does ends it."""
from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pose_diffusion
from pose_diffusion import fill_missing, generate, inbetween, predict_seconds, refine, regenerate
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.layout import LEFT_HAND, RIGHT_HAND
from pose_diffusion.worker.channel import MAX_REQUEST
from pose_diffusion.worker.requests import (
    INPUTS,
    KINDS,
    MAKES_POSE,
    Cancel,
    Request,
    RequestError,
    read_request,
)
from pose_diffusion.worker.work import explained
from tests.poses import constructed_pose, lose
from tests.worker_process import Parent, gone, worker


@pytest.fixture(scope="module")
def parent() -> Iterator[Parent]:
    """One worker for all tests of this file: each leaves it able to serve the next."""
    with worker() as parent:
        yield parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a name that not every program can handle."""
    return tmp_path_factory.mktemp("mit Leerzeichen, é und 手")


@pytest.fixture(scope="module")
def take(folder: Path) -> Path:
    """A pose in which a hand is lost for a while."""
    pose = constructed_pose(12)
    write_pose(lose(pose, slice(4, 7), slice(501, 522)), folder / "a take.pose")
    return folder / "a take.pose"


def written(pose: Any, folder: Path) -> bytes:
    """What a pose is as a file."""
    write_pose(pose, folder / "expected.pose")
    return (folder / "expected.pose").read_bytes()


@pytest.mark.parametrize("arguments", [
    {"steps": 3, "seed": 5},
    {"steps": 2, "guidance": 3.0, "temperature": 1.0, "seed": 2**62, "seconds": .6, "fps": 30.0, "language": "ase"},
    {"steps": 1, "guidance": 0, "frames": 9, "guidance_interval": [0, 5]},
])
def test_generate_is_that_of_the_package(parent: Parent, folder: Path, arguments: dict[str, Any]) -> None:
    made = parent.pose("generate", folder, arguments={"text": "hello", **arguments})
    same = made == written(generate("hello", **arguments), folder)
    assert same  # pytest would look for the differing bytes for minutes


def test_generate_from_a_first_pose_through_key_frames(parent: Parent, folder: Path, take: Path) -> None:
    made = parent.pose("generate", folder, arguments={"text": "hello", "steps": 2, "seconds": .5},
                       inputs={"first_pose": str(take), "keyframes": [[.4, str(take)]]})
    pose = read_pose(take)
    same = made == written(generate("hello", steps=2, seconds=.5, first_pose=pose, keyframes={.4: pose}), folder)
    assert same  # pytest would look for the differing bytes for minutes


def test_an_interval_without_an_end(parent: Parent, folder: Path) -> None:
    arguments: dict[str, Any] = {"text": None, "frames": 5, "steps": 2}
    made = parent.pose("generate", folder, arguments={**arguments, "guidance_interval": [1, None]})
    same = made == written(generate(**arguments, guidance_interval=(1, float("inf"))), folder)
    assert same  # pytest would look for the differing bytes for minutes


@pytest.mark.parametrize("arguments", [
    {},  # one step, the function's own default: its iterator twin has another
    {"steps": 3, "seed": 7, "strength": .4, "keep": [RIGHT_HAND, ["POSE_LANDMARKS", "NOSE"]]},
    {"only_masked": True},
])
def test_refine_is_that_of_the_package(parent: Parent, folder: Path, take: Path, arguments: dict[str, Any]) -> None:
    made = parent.pose("refine", folder, arguments=arguments, inputs={"pose": str(take)})
    same = made == written(refine(read_pose(take), **arguments), folder)
    assert same  # pytest would look for the differing bytes for minutes


def test_fill_missing_is_that_of_the_package(parent: Parent, folder: Path, take: Path) -> None:
    made = parent.pose("fill_missing", folder, arguments={"steps": 2, "seed": 1}, inputs={"pose": str(take)})
    same = made == written(fill_missing(read_pose(take), steps=2, seed=1), folder)
    assert same  # pytest would look for the differing bytes for minutes


def test_regenerate_is_that_of_the_package(parent: Parent, folder: Path, take: Path) -> None:
    arguments: dict[str, Any] = {"frames": [2, 9], "points": [LEFT_HAND, ["POSE_LANDMARKS", "LEFT_ELBOW"]],
                                 "text": "hello", "steps": 2, "seed": 3}
    made = parent.pose("regenerate", folder, arguments=arguments, inputs={"pose": str(take)})
    same = made == written(regenerate(read_pose(take), **arguments), folder)
    assert same  # pytest would look for the differing bytes for minutes


def test_inbetween_is_that_of_the_package(parent: Parent, folder: Path, take: Path, lexicon_files: list[Path]) -> None:
    files = [take, lexicon_files[0]]
    arguments: dict[str, Any] = {"steps": 2, "seed": 4, "seconds": .3, "hold": .1}
    made = parent.pose("inbetween", folder, arguments=arguments, inputs={"poses": [str(file) for file in files]})
    same = made == written(inbetween([read_pose(file) for file in files], **arguments), folder)
    assert same  # pytest would look for the differing bytes for minutes


def test_the_length_of_a_text(parent: Parent) -> None:
    done = parent.result("predict_seconds", arguments={"text": "hello", "seed": 3})
    assert done["answer"] == {"seconds": predict_seconds("hello", seed=3)}


def test_an_unknown_text_warns(parent: Parent, folder: Path) -> None:
    done = parent.result("generate", arguments={"text": "hellxo", "frames": 3, "steps": 1}, folder=str(folder))
    assert done["event"] == "done"
    assert len(done["warnings"]) == 1
    assert "hello" in done["warnings"][0]
    again = parent.result("generate", arguments={"text": "hellxo", "frames": 3, "steps": 1}, folder=str(folder))
    assert again["warnings"] == done["warnings"]


def test_previews_are_whole_and_the_last_one_is_kept_in_time(parent: Parent, tmp_path: Path) -> None:
    id = parent.ask("generate", arguments={"text": "hello", "steps": 60}, folder=str(tmp_path), preview=True)
    steps, shown = [], 0
    while (event := parent.event())["event"] not in ("done", "failed", "cancelled"):
        if event["event"] != "step":
            continue
        steps.append(event["step"])
        if event["file"]:
            shown += 1
            assert len(read_pose(event["file"]).body.data) > 1
    assert event["id"] == id
    assert steps == list(range(1, 61))
    assert shown > 1
    names = {file.name for file in tmp_path.iterdir()}
    assert Path(event["file"]).name in names
    assert len(names) <= 11
    assert not [name for name in names if name.startswith(".")]


def test_without_previews_there_is_the_result_only(parent: Parent, tmp_path: Path) -> None:
    id = parent.ask("generate", arguments={"text": "hello", "steps": 3}, folder=str(tmp_path))
    *events, done = parent.events_of(id)
    assert [event["file"] for event in events if event["event"] == "step"] == [None] * 3
    assert [str(file) for file in tmp_path.iterdir()] == [done["file"]]


def test_a_run_is_cancelled_between_steps(parent: Parent, tmp_path: Path) -> None:
    id = parent.ask("generate", arguments={"text": "hello", "steps": 1000}, folder=str(tmp_path))
    while parent.event()["event"] != "step":
        pass
    waiting = parent.ask("generate", arguments={"text": "hello"}, folder=str(tmp_path))
    parent.cancel(waiting)  # before it has begun
    begin = time.monotonic()
    parent.cancel(id)
    over: dict[int, str] = {}
    while len(over) < 2:
        event = parent.event()
        if event["event"] in ("done", "cancelled"):
            over[event["id"]] = event["event"]
    assert over == {id: "cancelled", waiting: "cancelled"}
    assert time.monotonic() - begin < .5
    parent.cancel(id)  # over long since: nothing is said
    assert parent.result("warm")["event"] == "done"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("do", "request_", "says"), [
    ("generate", {"arguments": {"text": "a", "step": 3}}, "generate has no 'step'"),
    ("refine", {"arguments": {"temperature": .5}, "inputs": {"pose": "{take}"}}, "refine has no 'temperature'"),
    ("generate", {"arguments": {"text": "a", "steps": "3"}}, "steps must be a whole number, not '3'"),
    ("generate", {"arguments": {"text": "a", "steps": 0}}, "steps must be a whole number from 1 to 1000, not 0"),
    ("generate", {"arguments": {"text": "a", "seed": True}}, "seed must be a whole number"),
    ("generate", {"arguments": {"text": "a", "guidance": 10**30}}, "guidance must be a number"),
    ("generate", {}, "generate needs a text"),
    ("generate", {"arguments": {"text": "a", "device": "nonsense"}}, "'nonsense' cannot be used"),
    ("generate", {"arguments": {"text": "a", "model": "/nowhere"}}, "nowhere"),
    ("generate", {"arguments": {"text": "a", "points": ["x"]}}, "generate has no 'points'"),
    ("predict_seconds", {}, "predict_seconds needs a text"),
    ("refine", {"inputs": {"pose": "{take}.not"}}, "a take.pose.not: there is no such file"),
    ("refine", {"inputs": {"pose": "/etc"}}, "this is a folder"),
    ("refine", {"inputs": {"pose": "take.pose"}}, "pose must be the whole path"),
    ("refine", {}, "refine needs the input pose"),
    ("refine", {"inputs": {"pose": "{take}", "poses": []}}, "inputs of refine has no 'poses'"),
    ("inbetween", {"inputs": {"poses": ["{take}", 3]}}, "poses must be the whole path"),
    ("inbetween", {"inputs": {"poses": []}}, "inbetween needs the input poses"),
    ("generate", {"inputs": {"keyframes": {"0.5": "{take}"}}}, "keyframes must be a list of [second, file]"),
    ("regenerate", {"arguments": {"frames": [50, 60]}, "inputs": {"pose": "{take}"}}, "are none of the pose's 12"),
    ("generate", {"folder": "/nowhere/at all"}, "there is no such folder"),
    ("generate", {"folder": "."}, "folder must be the whole path"),
    ("generate", {"folder": None}, "generate needs a folder"),
    ("dance", {}, "do must be one of generate, refine"),
    ("texts", {"size": 3}, "a request has no 'size'"),
    ("texts", {"preview": 1}, "preview must be true or false"),
    ("texts", {"arguments": []}, "arguments must be an object"),
])
def test_an_error_is_one_line_and_not_the_end(parent: Parent, folder: Path, take: Path, do: str,
                                              request_: dict[str, Any], says: str) -> None:
    before = set(folder.iterdir())
    request = json.loads(json.dumps(request_).replace("{take}", str(take)))
    where = {} if do not in MAKES_POSE else {"folder": str(folder)}
    failed = parent.result(do, **{**where, **request})
    assert failed["event"] == "failed"
    assert says in failed["message"]
    assert "\n" not in failed["message"]
    assert set(folder.iterdir()) == before


def test_a_damaged_pose(parent: Parent, folder: Path, take: Path) -> None:
    (folder / "half.pose").write_bytes(take.read_bytes()[:-100])
    failed = parent.result("refine", inputs={"pose": str(folder / "half.pose")}, folder=str(folder))
    assert "half.pose: the file is truncated" in failed["message"]
    assert "PoseFileError" in failed["details"]


@pytest.mark.parametrize("line", [b"nonsense", b"", b"\xff\xfe", b"[" * 5000, b"3", b"[]", b"{}", b'{"id": null}',
                                  b'{"id": 1.5, "do": "info"}', b'{"id": 1, "do": "info", "arguments": NaN}',
                                  b'{"id": "' + b"x" * MAX_REQUEST + b'"}'], ids=range(11))
def test_garbage_is_answered_and_not_the_end(parent: Parent, line: bytes) -> None:
    parent.send(line + b"\n")
    if line:
        assert parent.events_of(None)[-1]["event"] == "failed"
    assert parent.result("warm")["event"] == "done"


def test_an_id_is_used_once_at_a_time(parent: Parent, tmp_path: Path) -> None:
    id = parent.ask("generate", arguments={"text": "hello", "steps": 1000}, folder=str(tmp_path))
    parent.send(json.dumps({"id": id, "do": "info"}).encode() + b"\n")
    assert "choose another" in parent.events_of(None)[-1]["message"]
    parent.cancel(id)
    assert parent.events_of(id)[-1]["event"] == "cancelled"
    parent.id -= 1
    assert parent.result("warm")["event"] == "done"  # of the same id


def test_what_it_knows(parent: Parent) -> None:
    info = parent.result("info")["answer"]
    assert info["versions"]["pose-diffusion"] == pose_diffusion.__version__
    assert info["devices"][0]["device"] == "cpu"
    assert {"ase", "gsg"} <= set(info["languages"])
    assert (Path(info["model"]) / "model.safetensors").is_file()
    texts = parent.result("texts")["answer"]["texts"]
    assert ["ase", "words", "hello"] in texts
    assert {language for language, _, _ in texts} == set(info["languages"])


def test_memory_is_given_back(parent: Parent, tmp_path: Path) -> None:
    assert "loading" not in [event["event"] for event in parent.events_of(parent.ask("warm"))]
    memory = parent.result("free")["answer"]
    assert memory["before"]["cpu"] - memory["after"]["cpu"] > 10 * 2**20  # the model's weights are 40 MB
    assert [event["event"] for event in parent.events_of(parent.ask("warm"))] == ["loading", "done"]


def test_ctrl_c_is_for_the_parent(parent: Parent) -> None:
    parent.process.send_signal(signal.SIGINT)
    assert parent.result("warm")["event"] == "done"


def test_too_little_memory_is_said_in_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    for error in (caught.value, MemoryError(), torch.OutOfMemoryError("CUDA out of memory")):
        assert explained(error).startswith("not enough memory")
    assert explained(RuntimeError("torch\n says")) == "unexpected RuntimeError: torch says"


def test_it_ends_with_its_parent_in_the_middle_of_a_step(tmp_path: Path) -> None:
    with worker() as parent:
        parent.ask("generate", arguments={"text": "hello", "frames": 4096, "steps": 1000}, folder=str(tmp_path))
        while parent.event()["event"] != "running":
            pass
        parent.requests.close()
        assert gone(parent.process.pid, 2)
        assert parent.process.wait() == 0
        assert not list(tmp_path.glob("*.pose"))


def test_prints_do_not_reach_the_channel() -> None:
    code = ("import ctypes, os, subprocess, sys\n"
            "from pose_diffusion.worker.channel import Channel\n"
            "channel = Channel()\n"
            "print('printed', flush=True)\n"
            "os.write(1, b'written')\n"
            "libc = ctypes.CDLL(None); libc.puts(b'put by C'); libc.fflush(None)\n"
            "subprocess.run([sys.executable, '-c', 'print(\"printed by a child\")'])\n"
            "assert sys.stdin.read() == ''\n"
            "channel.send('ready', text='手\\n')\n"
            "assert list(channel.lines()) == [b'for the channel']\n")
    done = subprocess.run([sys.executable, "-c", code], input=b"for the channel\n", capture_output=True, check=True)
    assert json.loads(done.stdout) == {"event": "ready", "text": "手\n"}
    for word in (b"printed\n", b"written", b"put by C", b"printed by a child"):
        assert word in done.stderr


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = ("import sys\nimport pose_diffusion.worker.__main__\n"
            "print([name for name in ('torch', 'numpy', 'pose_format', 'scipy') if name in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "[]\n"


def test_help_teaches() -> None:
    text = subprocess.run([sys.executable, "-m", "pose_diffusion.worker", "--help"], capture_output=True, check=True,
                          text=True).stdout
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("{")]
    assert len(lines) == 4
    for line in lines:
        assert isinstance(read_request(line.encode()), (Request, Cancel))


def test_the_kind_of_every_argument_is_known() -> None:
    for do in (*MAKES_POSE, "predict_seconds"):
        parameters = set(inspect.signature(getattr(pose_diffusion, do)).parameters)
        assert set(INPUTS[do]) <= parameters
        assert parameters - set(INPUTS[do]) <= set(KINDS)


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                                    max_size=3), max_leaves=6)


@given(content=st.fixed_dictionaries({}, optional={
    "id": st.integers() | ANYTHING, "do": st.sampled_from([*INPUTS, "cancel"]) | ANYTHING, "arguments": ANYTHING,
    "inputs": st.dictionaries(st.sampled_from(["pose", "poses", "first_pose", "keyframes"]), ANYTHING) | ANYTHING,
    "folder": st.just("/") | ANYTHING, "preview": ANYTHING}))
@settings(max_examples=200, deadline=None)
def test_any_json_is_a_request_or_refused_in_one_line(content: dict[str, Any]) -> None:
    request, refused = None, ""
    try:
        request = read_request(json.dumps(content).encode())
    except RequestError as error:
        refused = str(error)
    if request is not None:
        assert request.id == content["id"]
    else:
        assert 0 < len(refused) < 500
        assert len(refused.splitlines()) == 1


@given(line=st.binary(max_size=50))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused(line: bytes) -> None:
    with pytest.raises(RequestError):
        read_request(line)


def test_the_page_shows_requests_that_are_understood_and_all_there_is() -> None:
    page = (Path(__file__).parents[1] / "docs" / "worker.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("{")]
    assert {read_request(line.encode()).id for line in lines} == {1, 2, 3}
    for name in (*INPUTS, *{name for names in INPUTS.values() for name in names}, "cancel"):
        assert f"`{name}`" in page
