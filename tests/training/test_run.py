import getpass
import json
import os
import platform
import re
import shutil
import time

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import control, index, whereabouts
from napari_mrissl.training.events import EventTail, EventWriter
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings


def test_a_new_run_is_queued_and_reads_back(run):
    again = Run.open(run.folder)
    assert again.settings == run.settings
    assert again.identity == run.identity
    state = again.state()
    assert (state.name, state.step, state.steps, state.alive) == ("queued", 0, 100, False)


def test_settings_are_the_same_text_for_the_same_settings(run, tmp_path):
    other = Run.create(tmp_path / "other", run.settings)
    first, second = (one.folder / "settings.json" for one in (run, other))
    assert first.read_bytes() == second.read_bytes()
    assert json.loads(first.read_text("utf-8"))["optimisation"]["steps"] == 100
    assert other.identity.uuid != run.identity.uuid


def test_a_name_that_is_taken_is_refused_and_left_alone(run):
    before = (run.folder / "run.json").read_bytes()
    with pytest.raises(MrisslError, match="there already"):
        Run.create(run.folder, run.settings)
    assert (run.folder / "run.json").read_bytes() == before


def test_the_folder_names_neither_place_nor_machine_nor_user(run):
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.step(1, 1.0, {"loss": 1.0})
        events.state("stopped")
    everything = b"".join(p.read_bytes() for p in run.folder.rglob("*") if p.is_file())
    assert str(run.folder.parent).encode() not in everything
    for secret in (platform.node(), str(os.getpid())):
        assert not re.search(
            rb"(?<![0-9a-zA-Z.])" + re.escape(secret.encode()) + rb"\b", everything
        )
    user = getpass.getuser().encode()
    assert user not in everything


def test_a_claimed_run_lives_and_a_second_claim_is_refused(run):
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
        state = Run.open(run.folder).state()
        assert (state.name, state.alive, state.here) == ("running", True, True)
        with pytest.raises(MrisslError, match="is being trained already"), run.claim():
            pass
        events.state("finished")
    state = run.state()
    assert (state.name, state.alive) == ("finished", False)


def test_an_error_within_a_claim_is_said_in_the_run(run):
    with pytest.raises(MrisslError), run.claim():
        raise MrisslError("is odd", where="scan")
    state = run.state()
    assert (state.name, state.reason) == ("failed", "scan: is odd")


def test_an_interrupted_claim_is_a_stop(run):
    with pytest.raises(KeyboardInterrupt), run.claim():
        raise KeyboardInterrupt
    state = run.state()
    assert (state.name, state.reason) == ("stopped", "interrupted")


def test_a_request_shows_at_once(run):
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
        control.request(run.folder, "pause")
        assert run.state().name == "pausing"
        control.request(run.folder, "resume")
        assert run.state().name == "running"
        control.request(run.folder, "stop")
        assert run.state().name == "stopping"
        control.request(run.folder, "resume")
        assert run.state().name == "stopping"
        events.state("stopped")


def test_a_command_for_an_earlier_process_is_forgotten(run):
    control.request(run.folder, "stop")
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
        assert control.Control(run.folder).poll() is None
        assert run.state().name == "running"
        events.state("finished")


def test_a_run_of_another_machine_lives_by_its_beats(run):
    with EventWriter(run.folder) as events:
        events.state("running")
        events.beat()
    whereabouts.write_process_word(run.folder, whereabouts.new_word())
    state = run.state()
    assert (state.name, state.alive, state.here) == ("running", True, False)
    long_ago = time.time() - 3600
    os.utime(run.folder / "heartbeat", (long_ago, long_ago))
    state = run.state()
    # A single look at clocks that may differ is no proof.
    assert (state.name, state.alive, state.unsure) == ("running", False, True)
    assert "last sign of life 3600 s ago" in state.reason
    os.utime(run.folder / "heartbeat", (long_ago, long_ago - 100_000))
    state = Run.open(run.folder).state()
    assert (state.name, state.alive) == ("failed", False)
    assert "resume begins again" in state.reason


def test_remains_of_a_killed_process_are_removed_by_the_next(run):
    torn = run.folder / "checkpoints" / ".mrissl-0123456789abcdef.tmp"
    torn.mkdir(parents=True)
    (torn / "weights.safetensors").write_bytes(b"half")
    (run.folder / ".mrissl-0123456789abcdef.tmp").write_bytes(b"half")
    with run.claim():
        assert not list(run.folder.rglob("*.tmp"))


def test_more_steps(run):
    run.extend(200)
    assert Run.open(run.folder).settings.optimisation.steps == 200
    assert run.state().steps == 200
    with pytest.raises(MrisslError, match="0 steps"):
        run.extend(0)


def test_the_summary_has_every_term_beside_its_chance(run):
    with EventWriter(run.folder) as events:
        events.chance({"r": 0.2})
        for step, value in enumerate((3.0, 1.0, 2.0), 1):
            events.step(
                step, value, {"r": value / 10}, seconds=0.5, waiting=0.1, samples_per_second=16
            )
        events.step(4, float("nan"), {"r": float("nan")}, seconds=0.5, waiting=0.1)
        events.validation(4, 1.5, {"r": 0.15})
        events.warning("slow disk")
    facts = run.summary()
    assert facts["terms"]["r"] == {
        "last": None,
        "best": 0.1,
        "chance": 0.2,
        "validation_last": 0.15,
        "validation_best": 0.15,
    }
    assert facts["terms"]["total"]["best"] == 1.0
    assert facts["step"] == 4
    assert facts["steps_per_second"] == pytest.approx(2.0)
    assert facts["samples_per_second"] == 16
    assert facts["waiting_share"] == pytest.approx(0.2)
    assert facts["warnings"] == ["slow disk"]
    json.dumps(facts, allow_nan=False)


def test_the_index_knows_runs_newest_first_and_skips_what_is_gone(run, tmp_path):
    made = [Run.create(tmp_path / f"run {n}", run.settings) for n in range(2)]
    assert {one.identity.uuid for one in index.runs()} == {
        run.identity.uuid,
        *(one.identity.uuid for one in made),
    }
    created = [one.identity.created for one in index.runs()]
    assert created == sorted(created, reverse=True)
    moved = run.folder.rename(tmp_path / "moved")
    assert run.identity.uuid not in {one.identity.uuid for one in index.runs()}
    index.remember(moved)
    found = {one.identity.uuid: one.folder for one in index.runs()}
    assert found[run.identity.uuid] == moved


def test_a_forgotten_run_loses_its_place_on_the_list_and_nothing_else(run):
    known = whereabouts.recall(run.identity.uuid)
    files = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    gone = index.forget(run.folder)
    assert index.runs() == []
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == files
    index.bring_back(gone)
    assert [one.identity.uuid for one in index.runs()] == [run.identity.uuid]
    assert whereabouts.recall(run.identity.uuid) == known
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        with pytest.raises(MrisslError, match="is being trained"):
            index.forget(run.folder)
    assert len(index.runs()) == 1


def test_runs_stay_open_between_looks_until_their_settings_are_written(run, monkeypatch):
    opened = index.OpenRuns()
    (first,) = index.runs(opened)
    with EventWriter(run.folder) as events:
        events.state("running")
    assert first.state().step == 0
    reads = []
    read = EventTail._read

    def counted(tail):
        reads.append(tail)
        return read(tail)

    monkeypatch.setattr(EventTail, "_read", counted)
    (second,) = index.runs(opened)
    assert second is first
    second.state()
    # Nothing is new, so nothing is read; a run that is opened anew reads all of it.
    assert reads == []
    with EventWriter(run.folder) as events:
        events.step(3, 1.0, {"a": 1.0})
        events.state("stopped")
    assert index.runs(opened)[0].state().step == 3
    assert len(reads) == 1
    Run.open(run.folder).extend(4321)
    (third,) = index.runs(opened)
    assert third.settings.optimisation.steps == third.state().steps == 4321
    shutil.rmtree(run.folder)
    assert index.runs(opened) == []


@pytest.mark.parametrize(
    "name", ["Größe µ", "a b  c", ";$(touch owned)", "x" * 200, "-rf", "run\twith tab", "'quoted\""]
)
def test_odd_names_work(name, tmp_path):
    run = Run.create(tmp_path / name, RunSettings(method="scratch"))
    with run.claim(), EventWriter(run.folder) as events:
        events.state("running")
        events.state("stopped")
    assert Run.open(tmp_path / name).state().name == "stopped"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("name", ["x" * 300, "nul\0", "not/there/run"])
def test_names_that_cannot_be_are_refused(name, tmp_path):
    with pytest.raises(MrisslError) as told:
        Run.create(str(tmp_path / name), RunSettings(method="scratch"))
    assert str(tmp_path) not in str(told.value)
    assert list(tmp_path.iterdir()) == []
