"""Jobs in the other process: real ones, and programs that are something else."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon.errors import AddonError
from blender_addon.sampler.job import Job, Worker
from blender_addon.sampler.process import MAX_LOG
from blender_addon.sampler.protocol import PROTOCOL, Event, ProtocolError, decode, encode
from pose_diffusion import generate, refine
from pose_diffusion.files import read_pose, write_pose
from pose_diffusion.worker import PROTOCOL as PROTOCOL_OF_THE_WORKER
from pose_diffusion.worker.requests import Cancel, Request, read_request
from tests.poses import constructed_pose
from tests.worker_process import gone

LONG = {"text": "hello", "steps": 1000}
PATIENCE = 60  # seconds: many times what anything here takes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a name that not every program can handle."""
    return tmp_path_factory.mktemp("mit Leerzeichen, é und 手")


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[Worker]:
    """One worker for most tests, which leave it usable; its torch has as many threads as that of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
        worker = Worker(sys.executable, log=folder / "logs" / "worker.log")
        yield worker
        worker.stop()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[str], Worker]]:
    """Makes workers of other programs."""
    made = []

    def make(interpreter: str = sys.executable) -> Worker:
        made.append(Worker(interpreter, log=tmp_path / "log" / "worker.log"))
        return made[-1]

    yield make
    for worker in made:
        worker.stop()


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Makes a program that is taken for a Python."""
    def make(script: str) -> str:
        path = tmp_path / "python3"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


def until(job: Job, reached: Callable[[Job], bool]) -> None:
    """Poll until something is so."""
    end = time.monotonic() + PATIENCE
    while not reached(job) and time.monotonic() < end:
        job.poll()
        time.sleep(.005)
    assert reached(job), f"{job.state}: {job.message}"


def written(pose: object, folder: Path) -> bytes:
    """What a pose is as a file."""
    write_pose(pose, folder / "expected.pose")
    return (folder / "expected.pose").read_bytes()


def quick_failure(worker: Worker, folder: Path) -> Job:
    """A job for which nothing is loaded."""
    job = worker.submit("refine", inputs={"pose": folder / "not there.pose"}, folder=folder / "nor this")
    job.wait(PATIENCE)
    return job


def test_the_result_is_that_of_the_package(worker: Worker, folder: Path) -> None:
    begin = time.monotonic()
    job = worker.submit("generate", {"text": "hello", "steps": 3, "seed": 5}, folder=folder, preview=True)
    assert time.monotonic() - begin < .3
    assert (job.state, job.finished) == ("starting", False)
    states, steps, previews = [job.state], [], []

    def look(job: Job) -> None:
        states.append(job.state)
        steps.append(job.step)
        if job.preview and job.preview not in previews:
            assert len(read_pose(job.preview).body.data) > 1
            previews.append(job.preview)

    assert job.wait(PATIENCE, look)
    assert list(dict.fromkeys(states)) in (["starting", "loading", "running", "done"],
                                           ["starting", "running", "done"])
    assert max(steps) == job.steps == 3
    assert previews
    assert job.result is not None
    same = job.result.read_bytes() == written(generate("hello", steps=3, seed=5), folder)
    assert same  # pytest would look for the differing bytes for minutes
    assert job.poll() == []
    assert 0 < job.seconds < PATIENCE


def test_the_model_stays_loaded(worker: Worker, folder: Path) -> None:
    worker.submit("warm").wait(PATIENCE)
    pid = worker.pid
    write_pose(constructed_pose(5), folder / "take.pose")
    job = worker.submit("refine", {"strength": .5}, {"pose": folder / "take.pose"}, folder)
    until(job, lambda job: job.finished)
    assert job.result is not None
    same = job.result.read_bytes() == written(refine(read_pose(folder / "take.pose"), strength=.5), folder)
    assert same
    assert worker.pid == pid


def test_all_kinds_of_inputs_arrive(worker: Worker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pose(constructed_pose(5), folder / "take.pose")
    monkeypatch.chdir(folder)
    for do, inputs in (("inbetween", {"poses": ["take.pose", folder / "take.pose"]}),
                       ("generate", {"first_pose": "take.pose", "keyframes": [(.2, "take.pose")]})):
        job = worker.submit(do, {"steps": 1} | ({"text": None, "seconds": .3} if do == "generate" else {}), inputs, ".")
        job.wait(PATIENCE)
        assert job.state == "done", job.message
        assert job.result is not None
        assert job.result.parent == folder


def test_answers_and_warnings(worker: Worker, folder: Path) -> None:
    job = worker.submit("texts")
    job.wait(PATIENCE)
    assert job.answer is not None
    assert ["ase", "words", "hello"] in job.answer["texts"]
    job = worker.submit("generate", {"text": "hellxo", "steps": 1, "frames": 2}, folder=folder)
    job.wait(PATIENCE)
    assert len(job.warnings) == 1


def test_a_failure_says_why_and_the_next_job_works(worker: Worker, folder: Path) -> None:
    job = worker.submit("generate", {"text": "hello", "steps": 0}, folder=folder)
    job.wait(PATIENCE)
    assert (job.state, job.finished, job.result) == ("failed", True, None)
    assert job.message == "steps must be a whole number from 1 to 1000, not 0"
    assert "Traceback" in job.details
    job = worker.submit("generate", {"text": "hello", "steps": 1, "frames": 2}, folder=folder)
    job.wait(PATIENCE)
    assert job.state == "done"


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_what_json_cannot_say_is_refused(worker: Worker, folder: Path, value: object) -> None:
    with pytest.raises(AddonError, match="generate: a setting is no plain number or text"):
        worker.submit("generate", {"text": "hello", "guidance": value}, folder=folder)


def test_a_run_is_cancelled_and_the_process_goes_on(worker: Worker, folder: Path) -> None:
    job = worker.submit("generate", LONG, folder=folder)
    until(job, lambda job: job.step > 2)
    pid = worker.pid
    begin = time.monotonic()
    job.cancel()
    assert time.monotonic() - begin < .1
    assert (job.state, job.message) == ("cancelled", "Cancelled")
    after = worker.submit("predict_seconds", {"text": "hello"})
    after.wait(PATIENCE)
    assert time.monotonic() - begin < .5
    assert worker.pid == pid
    job.cancel()
    assert (job.poll(), job.state) == ([], "cancelled")


def test_a_step_that_does_not_end_is_ended_with_the_process(worker: Worker, folder: Path) -> None:
    """And what waited behind it is done by the next process."""
    job = worker.submit("generate", {**LONG, "frames": 4096}, folder=folder)
    until(job, lambda job: job.state == "running")
    waiting = worker.submit("predict_seconds", {"text": "hello"})
    pid = worker.pid
    assert pid is not None
    begin = time.monotonic()
    job.cancel()
    assert job.finished
    assert gone(pid, 5)
    assert time.monotonic() - begin < .5
    until(waiting, lambda job: job.finished)
    assert waiting.state == "done"
    assert worker.pid != pid


def test_a_job_is_cancelled_while_the_process_starts(another: Callable[[], Worker], tmp_path: Path) -> None:
    worker = another()
    job = worker.submit("generate", LONG, folder=tmp_path)
    job.cancel()
    assert job.finished
    job = worker.submit("generate", LONG, folder=tmp_path)
    until(job, lambda job: job.state == "loading")
    pid = worker.pid
    assert pid is not None
    job.cancel()  # it is importing torch: nothing it could be asked to leave
    assert gone(pid, .5)
    job = quick_failure(worker, tmp_path)
    assert "there is no such folder" in job.message
    assert worker.pid != pid


def test_a_crash_is_told_and_the_next_job_works(another: Callable[[], Worker], tmp_path: Path) -> None:
    worker = another()
    job = worker.submit("generate", LONG, folder=tmp_path)
    until(job, lambda job: job.state == "loading")
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    until(job, lambda job: job.finished)
    assert job.state == "failed"
    assert "signal 9, SIGKILL" in job.message
    assert str(worker.log) in job.message
    assert not worker.running
    assert "there is no such folder" in quick_failure(worker, tmp_path).message


def test_stop_ends_the_process_in_the_middle_of_a_run(another: Callable[[], Worker], tmp_path: Path) -> None:
    worker = another()
    worker.stop()  # nothing to stop
    job = worker.submit("generate", LONG, folder=tmp_path)
    until(job, lambda job: job.state == "loading")
    pid = worker.pid
    assert pid is not None
    begin = time.monotonic()
    worker.stop()
    assert time.monotonic() - begin < 1
    assert (job.state, worker.running) == ("cancelled", False)
    assert gone(pid, 0.1)
    assert "there is no such folder" in quick_failure(worker, tmp_path).message


PARENT = """
import sys, time
from pathlib import Path
from blender_addon.sampler.job import Worker
worker = Worker(sys.executable, log=Path(sys.argv[1]) / "worker.log")
job = worker.submit("generate", {"text": "hello", "steps": 1000, "frames": 500}, folder=sys.argv[1])
while job.state != sys.argv[2]:
    job.poll()
    time.sleep(.01)
print(worker.pid, flush=True)
if job.state == "running":
    time.sleep(60)
"""


@pytest.mark.parametrize("state", ["running", "loading"])
def test_the_process_ends_with_its_parent(tmp_path: Path, state: str) -> None:
    """One that is killed, and one that comes to its end."""
    root = str(Path(__file__).parents[2])
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), state], stdout=subprocess.PIPE,
                          cwd=root) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if state == "running":
            parent.kill()
        assert gone(pid, 2)
        assert parent.wait(10) == (-signal.SIGKILL if state == "running" else 0)


def test_ctrl_c_in_a_script_cancels(another: Callable[[], Worker], tmp_path: Path) -> None:
    job = another().submit("generate", LONG, folder=tmp_path)

    def press(job: Job) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.wait(PATIENCE, press)
    assert job.state == "cancelled"


def test_settings_of_another_python_do_not_reach_it(another: Callable[[], Worker], tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do modules in the folder that Blender was started in."""
    (tmp_path / "json.py").write_text("raise ImportError('the wrong json')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    monkeypatch.chdir(tmp_path)
    assert "there is no such folder" in quick_failure(another(), tmp_path).message


@pytest.mark.parametrize("name", ["", "/nowhere/python", "no-such-python", "."])
def test_a_program_that_is_not_there(another: Callable[[str], Worker], tmp_path: Path, name: str) -> None:
    with pytest.raises(AddonError, match="choose the Python of the sampler"):
        another(name).submit("info")


@pytest.mark.parametrize(("script", "says"), [
    ("print('No module named pose_diffusion.worker', file=sys.stderr); sys.exit(1)",
     "it could not start the sampler (exit code 1; it said: No module named pose_diffusion.worker)"),
    ("sys.exit(0)", "it could not start the sampler (exit code 0; it said: nothing)"),
    ("os.close(1); time.sleep(60)", "it could not start the sampler (signal 9, SIGKILL"),
    ("print('hello', flush=True); time.sleep(60)", "what it started is not the sampler"),
    ("while True: print('y' * 9000)", "what it started is not the sampler"),
    ("while True: os.write(1, b'y' * 60000)", "what it started is not the sampler"),
    ("""print('{"event": "ready", "protocol": 99, "version": "9.0"}', flush=True); time.sleep(60)""",
     "its pose-diffusion 9.0 and this add-on do not understand each other (protocols 99 and 1)"),
])
def test_programs_that_are_something_else(another: Callable[[str], Worker], program: Callable[[str], str],
                                          tmp_path: Path, script: str, says: str) -> None:
    worker = another(program(script))
    jobs = [worker.submit("info"), worker.submit("texts")]
    until(jobs[0], lambda job: job.finished)
    assert [job.state for job in jobs] == ["failed"] * 2
    assert says in jobs[0].message
    assert "\n" not in jobs[0].message


def test_a_program_that_says_nothing(another: Callable[[str], Worker], program: Callable[[str], str],
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blender_addon.sampler.job.START_SECONDS", .2)
    worker = another(program("time.sleep(60)"))
    job = worker.submit("info")
    until(job, lambda job: job.finished)
    assert "did not start" in job.message
    job = worker.submit("info")  # is not given to the one that says nothing
    job.cancel()
    assert job.state == "cancelled"


def test_the_log_stays_small_and_keeps_the_end(another: Callable[[str], Worker], program: Callable[[str], str]) -> None:
    worker = another(program("for i in range(40000): print('line', i, 'x' * 60, file=sys.stderr)\nsys.exit(3)"))
    job = worker.submit("info")
    until(job, lambda job: job.finished)
    assert "line 39999" in job.details
    assert worker.log.stat().st_size <= MAX_LOG


def test_requests_are_understood_by_the_worker(tmp_path: Path) -> None:
    assert PROTOCOL == PROTOCOL_OF_THE_WORKER
    line = encode(3, "generate", arguments={"text": "手", "seed": 2**62}, folder=tmp_path, preview=True,
                  inputs={"first_pose": tmp_path / "é", "keyframes": [(0.5, "/k")]})
    assert line.count(b"\n") == 1
    request = read_request(line)
    assert request == Request(3, "generate", {"text": "手", "seed": 2**62}, {"first_pose": tmp_path / "é",
                              "keyframes": [(0.5, Path("/k"))]}, tmp_path, True)
    assert read_request(encode(4, "cancel")) == Cancel(4)


@given(line=st.binary(max_size=50) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["event", "id", "step", "steps", "file", "answer", "warnings", "message", "seconds"]),
        st.sampled_from(["done", "step", "failed", "ready"]) | inner, max_size=5)).map(
            lambda content: json.dumps(content).encode()))
@settings(max_examples=200, deadline=None)
def test_any_line_is_an_event_or_refused(line: bytes) -> None:
    try:
        event = decode(line)
    except ProtocolError:
        return
    assert isinstance(event, Event)
    assert event.file is None or isinstance(event.file, Path)
    assert all(isinstance(number, (int, float)) for number in (event.step, event.steps, event.seconds))
