"""Bar C3: a disk of 40 MB that is full, before and while a run trains on it."""

import os
import resource

import pytest
import torch

from napari_mrissl.errors import MrisslError
from napari_mrissl.training import checkpoints
from napari_mrissl.training.events import EventTail, StepEvent
from napari_mrissl.training.loop import Failed
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import RunSettings
from tests.training.runs_of_toys import assert_same, trained
from tests.training.small_disks import mounted
from tests.training.toy import Toy, toy_settings

SETTINGS = toy_settings(optimisation={"steps": 20}, checkpoint={"every": 5})


class ShortFiles:
    """Stands in for a full disk where none can be mounted: files cannot grow beyond a size."""

    def __init__(self, folder):
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self):
        size = (self.folder / "run" / "events.jsonl").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._before[1]))

    def free(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 40 MB."""
    disk = mounted(tmp_path / "disk")
    if disk is None:
        pytest.skip("needs the right to mount a file system")
    yield disk
    disk.take_away()


@pytest.fixture(params=["a file system of 40 MB", "files that cannot grow"])
def disk(request, tmp_path):
    """Something that can be full."""
    if request.param == "a file system of 40 MB":
        yield request.getfixturevalue("small_disk")
        return
    (tmp_path / "disk").mkdir()
    limited = ShortFiles(tmp_path / "disk")
    yield limited
    limited.free()


def test_a_run_fails_in_a_sentence_and_goes_on_once_there_is_room(disk, tmp_path, monkeypatch):
    right, filled = Toy.losses, []

    def losses(self, network, batch, collective):
        if network.training and int(batch["step"][0]) == 7 and not filled:
            filled.append(disk.fill())
        return right(self, network, batch, collective)

    monkeypatch.setattr(Toy, "losses", losses)
    with pytest.raises(Failed, match=r"No space left|File too large|free on the disk"):
        trained(disk.folder / "run", SETTINGS)
    run = Run.open(disk.folder / "run")
    state = run.state()
    assert (state.name, state.alive, state.checkpoint) == ("failed", False, 5)
    assert "free some space" in state.reason
    assert str(disk.folder) not in state.reason
    # Told at once: no step after the next checkpoint that was due.
    assert [e.step for e in EventTail(run.folder).poll() if isinstance(e, StepEvent)][-1] <= 10
    found, warnings = checkpoints.newest(run.folder)
    assert (found.step, warnings) == (5, [])
    found.load()
    with pytest.raises(MrisslError, match=r"could not be written|free on the disk"):
        trained(disk.folder / "run", SETTINGS)
    disk.free()
    run, state = trained(disk.folder / "run", SETTINGS)
    assert (state.name, state.step) == ("finished", 20)
    assert not list(run.folder.rglob("*.tmp"))
    unbroken, _ = trained(tmp_path / "unbroken", SETTINGS)
    assert_same(run, unbroken)


def save(run, step, megabytes):
    numbers = torch.full(((megabytes << 20) // 4,), float(step))
    return checkpoints.save(
        run.folder, step, {"weights": {"a": numbers}}, {"step": step}, best=False, keep=2
    )


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(small_disk, monkeypatch):
    run = Run.create(small_disk.folder / "run", RunSettings(method="scratch"))
    checkpoints.check_space(run.folder, 15 << 20)
    with pytest.raises(MrisslError, match=r"free on the disk; expected 44\.0 MiB"):
        checkpoints.check_space(run.folder, 20 << 20)
    save(run, 1, 15)
    before = sorted(os.listdir(run.folder / "checkpoints"))
    with pytest.raises(MrisslError, match=r"MiB free on the disk.*free some space"):
        save(run, 2, 30)
    # Somebody else takes the room after the look at it.
    monkeypatch.setattr(checkpoints, "_check_free", lambda *_: None)
    with pytest.raises(MrisslError, match=r"could not be written \(No space left on device\)"):
        save(run, 2, 30)
    assert sorted(os.listdir(run.folder / "checkpoints")) == before
    assert not list(run.folder.rglob("*.tmp"))
    found, warnings = checkpoints.newest(run.folder)
    assert (found.step, warnings) == (1, [])
    assert found.load()[1] == {"step": 1}
    save(run, 3, 15)
    assert checkpoints.newest(run.folder)[0].step == 3
