import os
import shutil
import time

import psutil
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import index, launch, states, whereabouts
from napari_mrissl.training.events import EventTail, EventWriter, WarningEvent
from napari_mrissl.training.run import Run


def wait(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def running(run, step=2):
    return lambda: run.state().name == "running" and run.state().step >= step


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_from_start_to_stop(run, begin):
    pid = begin(run, "obey")
    assert run.state().alive
    with pytest.raises(MrisslError, match="already"):
        begin(run, "obey")
    wait(running(run))
    assert os.getpgid(pid) == pid != os.getpgid(0)
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    # Another object, as after a restart of the viewer, finds it and says the same.
    assert Run.open(run.folder).state().here
    launch.pause(run.folder)
    wait(lambda: run.state().name == "paused")
    assert launch.resume(run.folder) is None
    wait(lambda: run.state().name == "running")
    state = launch.stop(run.folder)
    assert (state.name, state.alive) == ("stopped", False)
    wait(lambda: gone(pid))
    assert launch.stop(run.folder) == state
    said = [event.name for event in EventTail(run.folder).poll() if event.type == "state"]
    assert said[-3:] == ["running", "stopping", "stopped"]


def test_a_deaf_process_is_ended_with_those_it_started(run, begin):
    pid = begin(run, "deaf")
    tail, seen = EventTail(run.folder), []
    wait(lambda: seen.extend(tail.poll()) or any(isinstance(e, WarningEvent) for e in seen))
    child = int(next(e.text for e in seen if isinstance(e, WarningEvent)).split()[1])
    state = launch.stop(run.folder, patience=0.2)
    assert (state.name, state.alive) == ("stopped", False)
    assert "resume begins again" in state.reason
    wait(lambda: gone(pid) and gone(child))
    assert EventTail(run.folder).poll()[-1].name == "stopped"


def test_a_checkpoint_that_is_being_written_is_waited_for(run, begin):
    begin(run, "saving")
    wait(running(run, 1))
    state = launch.stop(run.folder, patience=0.4)
    assert (state.name, state.reason, state.alive) == ("stopped", "saved", False)


def test_a_shared_data_directory_does_not_make_a_run_elsewhere_look_dead(run, monkeypatch):
    monkeypatch.setattr(states, "holder", lambda folder: None)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(whereabouts, "this_host", lambda: "f" * 16)
        run.give_to("a" * 16, 1 << 21)
    with EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
    state = run.state()
    assert (state.name, state.alive, state.here) == ("running", True, False)


def test_a_run_of_another_machine_is_not_claimed_while_it_beats(run):
    whereabouts.write_process_word(run.folder, "a" * 16)
    with EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
    with pytest.raises(MrisslError, match="on another machine"), run.claim():
        pass
    assert whereabouts.process_word(run.folder) == "a" * 16
    os.utime(run.folder / "heartbeat", (time.time() - 200,) * 2)
    with run.claim():
        assert run.state().here


DEATHS = {
    "exit": "its process ended with code 3; resume begins again",
    "segfault": "its process crashed (Segmentation fault); resume begins again",
    "kill": "its process was killed, perhaps because memory ran out; resume begins again",
    "early": "the data cannot be found; resume begins again",
    "refuse": "scan: is odd",
    "raise": "RuntimeError",
}


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_is_a_failure_said_in_one_sentence(run, begin, how):
    begin(run, how)
    wait(lambda: not run.state().alive)
    state = run.state()
    assert state.name == "failed"
    assert state.reason.startswith(DEATHS[how])
    assert "somebody" not in state.reason
    assert "\n" not in state.reason
    if how == "raise":
        # What Python says of an error may hold paths, so it does not go into the run.
        said = whereabouts.output_file(run.identity.uuid).read_text("utf-8")
        assert "/home/somebody" in said
        texts = [p.read_bytes() for p in run.folder.rglob("*") if p.is_file()]
        assert not any(b"somebody" in text for text in texts)


def test_after_a_death_the_next_start_works(run, begin):
    begin(run, "kill")
    wait(lambda: not run.state().alive)
    first = begin(run, "obey")
    wait(running(run))
    assert launch.stop(run.folder).name == "stopped"
    assert begin(run, "obey") != first
    wait(running(run))
    assert launch.stop(run.folder).name == "stopped"
    assert [event.n for event in EventTail(run.folder).poll()][:3] == [0, 1, 2]


def test_a_hang_is_a_failure_that_stop_ends(run, begin):
    pid = begin(run, "hang")
    wait(lambda: run.state().name == "failed")
    state = run.state()
    assert state.alive
    assert "no sign of life" in state.reason
    assert "stop ends its process" in state.reason
    with pytest.raises(MrisslError, match="stop it first"):
        begin(run, "obey")
    assert not launch.stop(run.folder).alive
    wait(lambda: gone(pid))


def test_a_stranger_with_the_same_number_is_not_ours(run, begin):
    begin(run, "kill")
    wait(lambda: not run.state().alive)
    known = whereabouts.recall(run.identity.uuid)
    # As after a restart of the viewer, and with our own parent under the process's number.
    stranger = known.model_copy(update={"pid": os.getppid(), "process": "0" * 16})
    whereabouts.note(run.identity.uuid, stranger)
    whereabouts.write_process_word(run.folder, "0" * 16)
    assert not whereabouts.alive(stranger)
    assert run.state().name == "failed"
    whereabouts.end(stranger)


def test_a_child_that_cannot_start_leaves_the_run_startable(run):
    with pytest.raises(MrisslError, match="could not be started"):
        launch.start(run.folder, command=lambda folder, _: [str(folder / "no such program")])
    assert run.state().name == "failed"


def test_a_finished_run_needs_more_steps(run):
    from napari_mrissl.training.events import EventWriter

    with run.claim(), EventWriter(run.folder) as events:
        events.step(100, 1.0, {})
        events.state("finished")
    with pytest.raises(MrisslError, match="finished after 100 steps"):
        launch.resume(run.folder)


def test_several_processes_are_started_by_one(run):
    words = launch.child_command(run.folder, 2)
    child = ["-m", "napari_mrissl.cli.child", str(run.folder)]
    assert words[-6:] == ["-m", "napari_mrissl.cli.processes", "2", *child]


def test_a_batch_that_cannot_be_shared_is_refused_before_anything_begins(run):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    batch = run.settings.optimisation.batch
    for start in (launch.start, lambda *a, **k: launch.resume(*a, 10_000, **k)):
        with pytest.raises(MrisslError, match="cannot be shared evenly"):
            start(run.folder, processes=batch + 1)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_a_copy_is_not_taken_for_the_run(run, begin, tmp_path):
    begin(run, "obey")
    wait(running(run))
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    index.remember(copy)
    assert [one.folder for one in index.runs()] == [run.folder]
    assert not launch.stop(copy).here
    time.sleep(0.5)
    assert run.state().alive
    assert run.state().name == "running"
    assert launch.stop(run.folder).name == "stopped"
    # Where the run itself is gone, the copy takes its place.
    shutil.rmtree(run.folder)
    index.remember(copy)
    assert [one.folder for one in index.runs()] == [copy]
