"""A run is watched from another machine: on a shared disk, or in a copy that lags behind."""

import json
import shutil
import time
from types import SimpleNamespace

import pytest

from napari_mrissl.cli import main
from napari_mrissl.errors import MrisslError
from napari_mrissl.training import checkpoints, control, heartbeat, launch, sightings, whereabouts
from napari_mrissl.training.events import EventTail, EventWriter, StepEvent
from napari_mrissl.training.run import Run
from napari_mrissl.training.states import ACTIVE
from tests.training.runs_of_toys import trained
from tests.training.synced import Sync
from tests.training.toy import Toy, toy_settings

SETTINGS = toy_settings(optimisation={"steps": 16}, checkpoint={"every": 3, "images_every": 5})


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Do something as another machine would, whose user has another data directory."""

    def run(what):
        with monkeypatch.context() as there:
            there.setenv("MRISSL_DATA_DIR", str(tmp_path / "data elsewhere"))
            return what()

    return run


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("skew", [0.0, -300.0, 5000.0])
def test_a_copy_that_comes_in_parts_shows_how_the_run_goes_on(
    tmp_path, monkeypatch, elsewhere, skew, in_place
):
    source, copy = tmp_path / "run", tmp_path / "copy"
    sync = Sync(source, copy, skew, in_place=in_place)
    seen, refused = [], []
    watched = []

    def look():
        before = sync.facts()
        try:
            run = watched[0] if watched else Run.open(copy)
            watched[:] = [run]
            state = run.state()
            facts = run.summary()
        except MrisslError as error:
            refused.append(str(error))
            return
        finally:
            assert sync.facts() == before
        assert state.name in ACTIVE, state
        assert state.alive or state.unsure or state.name == "queued"
        assert facts["state"] == state.name
        checkpoints.newest(copy)
        assert sync.facts() == before
        seen.append(state)

    right = Toy.losses

    def losses(self, network, batch, collective):
        if network.training:
            (sync.all if int(batch["step"][0]) % 5 == 4 else sync.part)()
            elsewhere(look)
        return right(self, network, batch, collective)

    monkeypatch.setattr(Toy, "losses", losses)
    run, _ = trained(source, SETTINGS)
    monkeypatch.setattr(Toy, "losses", right)
    assert all(said.startswith(("copy", str(copy))) and "run" in said for said in refused)
    assert len(seen) >= 10
    whole = [state for state in seen if state.step in (4, 9, 14)]
    assert {state.step for state in whole} >= {4, 9, 14}
    # Two full copies make news, whatever the clocks say.
    assert all(state.alive for state in whole[1:])
    sync.all()
    state = elsewhere(watched[0].state)
    assert (state.name, state.step, state.alive, state.unsure) == ("finished", 16, False, False)
    steps = [e.step for e in EventTail(copy).poll() if isinstance(e, StepEvent)]
    assert steps == list(range(1, 17))
    found, warnings = checkpoints.newest(copy)
    assert (found.step, warnings) == (16, [])
    assert elsewhere(watched[0].summary)["terms"] == run.summary()["terms"]


def test_a_checkpoint_whose_list_came_before_its_files_is_passed_over(tmp_path):
    run, _ = trained(tmp_path / "run", SETTINGS)
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    newest = copy / "checkpoints" / "step_000000016"
    state = newest / "optimizer.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    found, (warning,) = checkpoints.newest(copy)
    assert found.step == 15
    assert "checkpoint of step 16: is damaged" in warning


@pytest.fixture
def clock(monkeypatch):
    """The observer's own waiting."""
    now = [1000.0]
    monkeypatch.setattr(sightings, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@pytest.fixture
def far(run):
    """A run that a process of another machine has just begun."""
    whereabouts.write_process_word(run.folder, "a" * 16)
    with EventWriter(run.folder) as events:
        events.state("running")
        events.step(1, 1.0, {})
        yield run, events


def late(monkeypatch, seconds):
    """Let this machine's clock be ahead, or behind."""
    ahead = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    monkeypatch.setattr(heartbeat, "time", ahead)


@pytest.mark.parametrize("ahead", [-4000.0, 0.0, 4000.0])
def test_only_waiting_in_vain_shows_that_a_run_elsewhere_is_gone(monkeypatch, far, clock, ahead):
    run, events = far
    late(monkeypatch, ahead)
    for _ in range(3):
        state = run.state()
        assert state.name == "running"
        assert state.alive == (ahead < 4000)
        clock[0] += 35.0
    events.step(2, 1.0, {})
    assert (run.state().alive, run.state().unsure) == (True, False)
    clock[0] += 125.0
    state = run.state()
    assert (state.name, state.alive, state.unsure) == ("failed", False, True)
    assert "a copy that is not brought up to date" in state.reason
    events.step(3, 1.0, {})
    assert (run.state().name, run.state().alive) == ("running", True)


def test_a_long_step_elsewhere_is_waited_for(far, clock):
    run, events = far
    events.beat(600.0)
    run.state()
    clock[0] += 500.0
    assert (run.state().name, run.state().alive) == ("running", True)
    clock[0] += 200.0
    assert run.state().name == "failed"


def test_a_clock_that_is_ahead_takes_no_run_from_another_machine(monkeypatch, far):
    run, _ = far
    late(monkeypatch, 4000.0)
    assert run.state().unsure
    with pytest.raises(MrisslError, match="on another machine"), run.claim():
        pass
    with pytest.raises(MrisslError, match="on another machine"):
        launch.start(run.folder)
    assert whereabouts.process_word(run.folder) == "a" * 16
    assert list(run.folder.rglob("*.tmp")) == []


def test_commands_say_what_is_known_and_leave_wishes_in_the_folder(monkeypatch, far, capsys):
    run, _ = far
    late(monkeypatch, 4000.0)
    assert main(["run", "show", str(run.folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["state"], facts["step"]) == ("running", 1)
    assert "last sign of life 4000 s ago" in facts["reason"]
    assert main(["run", "list"]) == 0
    assert "running" in capsys.readouterr().out
    assert main(["run", "stop", str(run.folder)]) == 0
    assert "on another machine" in capsys.readouterr().err
    assert control.pending(run.folder) == "stop"


def test_a_wish_to_stop_is_left_without_waiting_for_it(far, capsys):
    run, events = far
    assert main(["run", "stop", str(run.folder), "--ask"]) == 0
    assert "stops after its running step" in capsys.readouterr().err
    assert control.pending(run.folder) == "stop"
    events.state("stopped")
    assert main(["run", "stop", str(run.folder), "--ask"]) == 2
    assert "is stopped" in capsys.readouterr().err
