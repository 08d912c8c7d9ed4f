"""Killed at any moment, a run loses no committed step and ends as if nothing had been (bar C1)."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from napari_mrissl.training import checkpoints, launch, whereabouts
from napari_mrissl.training.run import Run
from tests.training.killed import check_killed, check_nothing_was_lost
from tests.training.runs_of_toys import assert_same, newest_tensors, trained
from tests.training.toy import Blobs, toy_settings

ROOT = Path(__file__).resolve().parents[2]
SENTENCE = (
    "process of rank 1 of 2 gave no word: it was killed, perhaps because memory ran out, or its "
    "machine is gone; resume, or the same command, goes on from the last checkpoint"
)
CHILD = ["-m", "tests.training.toy_child"]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_run_killed_five_times_ends_as_if_nothing_had_been(tmp_path):
    check_kills(tmp_path, kills=5, steps=35)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_200_times_ends_as_if_nothing_had_been(tmp_path, monkeypatch):
    # Where there is one, temporary files have another filesystem than the run.
    memory = Path("/dev/shm")  # noqa: S108 nothing is expected to be written there
    if memory.is_dir():
        monkeypatch.setenv("TMPDIR", str(memory))
    check_kills(tmp_path, kills=200, steps=2400)


def check_kills(folder, kills, steps):
    settings = toy_settings(
        task={"dropout": 0.3, "slow": 0.003},
        optimisation={"steps": steps, "ema": 0.9},
        checkpoint={"every": 2, "validate_every": 5},
        data={"workers": 2},
    )
    # Both in processes that were forked from one: with as many threads, and imported once.
    unbroken, run = (Run.create(folder / name, settings) for name in ("unbroken", "killed"))
    check_killed(run, unbroken, kills, CHILD)


@pytest.fixture
def two_processes(tmp_path):
    """Start a run in two processes; whatever is left of it is ended."""
    begun = []

    def start(settings, name="run"):
        run = Run.create(tmp_path / name, settings) if not begun else begun[0]
        begun[:] = [run]
        launch.start(run.folder, processes=2, nice=0, command=command)
        return run

    yield start
    for run in begun:
        launch.stop(run.folder, patience=0.0)


def command(folder, processes):
    words = launch.child_command(folder, processes)
    return [
        "tests.training.toy_child" if one == "napari_mrissl.cli.child" else one for one in words
    ]


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "too late"
        time.sleep(0.05)


def test_a_killed_process_ends_the_run_with_a_sentence_and_one_process_goes_on(
    tmp_path, two_processes
):
    """Bar D2: rank 1 dies, the others end within 30 s, and the hand-over from 2 to 1 holds."""
    settings = toy_settings(
        optimisation={"steps": 60, "precision": "float64"},
        checkpoint={"every": 5, "validate_every": 20},
        task={"slow": 0.05},
    )
    run = two_processes(settings)
    wait_for(lambda: run.state().step >= 12, 120)
    kill(run, "1")
    wait_for(lambda: not run.state().alive, 30)
    state = run.state()
    assert state.name == "failed"
    assert state.reason == SENTENCE
    before = checkpoints.newest(run.folder)[0].step
    assert before >= 10
    # The rest in this process alone.
    run, state = trained(run.folder, settings, validation=Blobs(2, 50))
    assert state.name == "finished"
    # Its pace, which only leaves time to kill, is not needed here.
    quick = settings.model_copy(update={"task": {**settings.task, "slow": 0.0}})
    unbroken, _ = trained(tmp_path / "unbroken", quick, validation=Blobs(2, 50))
    found, expected = newest_tensors(run)[0], newest_tensors(unbroken)[0]
    worst = max(
        float((found[name] - expected[name]).abs().max())
        for name in expected
        if name.startswith("weights/")
    )
    assert worst <= 1e-12


def kill(run, rank):
    # A child that was forked a moment ago still has its parent's environment.
    wait_for(lambda: of_rank(run, rank), 60)
    of_rank(run, rank)[0].send_signal(signal.SIGKILL)


def of_rank(run, rank):
    found = []
    for process in processes_of(run):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.environ().get("RANK") == rank:
                found.append(process)
    return found


def processes_of(run):
    agent = psutil.Process(whereabouts.recall(run.identity.uuid).pid)
    return [agent, *agent.children(recursive=True)]


def test_processes_of_one_machine_are_reached_from_no_other_one(two_processes):
    run = two_processes(toy_settings(optimisation={"steps": 100_000}, task={"slow": 0.05}))
    wait_for(lambda: run.state().step >= 2, 120)
    processes = processes_of(run)
    assert len(processes) >= 3
    open_to = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert open_to <= {"127.0.0.1", "::1"}
    meeting = Path(next(p.environ()["MRISSL_MEETING"] for p in processes[1:]))
    assert meeting.parent.stat().st_mode & 0o077 == 0
    launch.stop(run.folder)
    assert run.state().name == "stopped"
    wait_for(lambda: not meeting.parent.exists(), 60)


def test_a_process_that_is_killed_on_the_way_ends_the_others(two_processes):
    run = two_processes(toy_settings(optimisation={"steps": 100_000}))
    wait_for(lambda: len(processes_of(run)) >= 3, 60)
    kill(run, "1")
    wait_for(lambda: not run.state().alive, 30)
    assert run.state().name == "failed"
    assert "resume begins again" in run.state().reason


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_the_same_command_goes_on_bit_for_bit_after_either_process_was_killed(
    tmp_path, two_processes, rank
):
    settings = toy_settings(
        optimisation={"steps": 60, "ema": 0.9},
        checkpoint={"every": 5, "validate_every": 20},
        task={"slow": 0.05, "dropout": 0.3},
    )
    run = two_processes(settings)
    wait_for(lambda: run.state().step >= 12, 240)
    kill(run, rank)
    wait_for(lambda: not run.state().alive, 30)
    state = run.state()
    assert state.name == "failed"
    assert f"process of rank {rank} of 2 gave no word" in state.reason
    assert "goes on from" in state.reason
    assert two_processes(settings) is run
    wait_for(lambda: not run.state().alive, 240)
    assert run.state().name == "finished"
    check_nothing_was_lost(run)
    unbroken = Run.create(tmp_path / "unbroken", settings)
    launch.start(unbroken.folder, processes=2, nice=0, command=command)
    wait_for(lambda: not unbroken.state().alive, 240)
    assert unbroken.state().name == "finished"
    assert_same(run, unbroken)


@pytest.mark.slow
def test_two_processes_stop_together_when_asked(two_processes):
    settings = toy_settings(optimisation={"steps": 100_000}, task={"slow": 0.02})
    run = two_processes(settings)
    wait_for(lambda: run.state().step >= 3, 120)
    state = launch.stop(run.folder, patience=60.0)
    assert state.name == "stopped"
    assert not state.alive
    assert state.checkpoint == state.step


@pytest.mark.slow
def test_sigterm_stops_a_run_with_a_checkpoint(tmp_path):
    settings = toy_settings(optimisation={"steps": 100_000}, task={"slow": 0.02})
    run = Run.create(tmp_path / "run", settings)
    child = subprocess.Popen([sys.executable, *CHILD, str(run.folder)], cwd=ROOT)
    try:
        wait_for(lambda: run.state().step >= 3, 120)
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    state = run.state()
    assert state.name == "stopped"
    assert state.checkpoint == state.step > 0
