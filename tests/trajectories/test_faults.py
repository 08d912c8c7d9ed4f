"""Every single write, sync, rename or link refused, one after the other: nothing is lost."""

import errno
import os
import shutil

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import Dataset, Recorder, journal, repair, validate
from napari_mrissl.volumes import atomic

CODES = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)


class Disk:
    """Counts what a dataset asks of the disk, and refuses one of it, or all from it on."""

    def __init__(self, monkeypatch):
        self.count, self.refuse_at, self.code, self.for_good = 0, None, None, False
        self.refused = 0
        for module in (os,):
            for name in ("fsync", "replace", "rename", "link", "unlink", "mkdir"):
                monkeypatch.setattr(module, name, self._guarded(getattr(module, name)))
        monkeypatch.setattr(journal, "_write", self._guarded(journal._write))
        opened = os.fdopen

        def fdopen(descriptor, *words, **named):
            file = opened(descriptor, *words, **named)
            return _File(file, self) if words and "w" in words[0] else file

        monkeypatch.setattr(atomic.os, "fdopen", fdopen)

    def ask(self):
        self.count += 1
        at = self.refuse_at
        if at is not None and (self.count == at or (self.for_good and self.count > at)):
            self.refused += 1
            raise OSError(self.code, os.strerror(self.code))

    def start(self, at=None, code=None, for_good=False):
        self.count, self.refuse_at, self.code, self.for_good = 0, at, code, for_good
        self.refused = 0

    def _guarded(self, function):
        def guarded(*words, **named):
            self.ask()
            return function(*words, **named)

        return guarded


class _File:
    """A file whose writes are asked for."""

    def __init__(self, file, disk):
        self._file, self._disk = file, disk

    def write(self, content):
        self._disk.ask()
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *words):
        return self._file.__exit__(*words)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def uids(folder):
    return [entry.uid for entry in Dataset.open(folder).entries]


def fresh(original, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original, folder)
    return Dataset.open(folder)


OPERATIONS = {
    "append": lambda dataset, flight: dataset.append(flight, task="new"),
    "undo": lambda dataset, flight: dataset.undo_last(),
    "redo": lambda dataset, flight: dataset.redo_last(),
    "task": lambda dataset, flight: dataset.set_task("new"),
}


@pytest.mark.parametrize("for_good", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_change_happens_or_not_whatever_is_refused(
    name, for_good, dataset, flight, disk, tmp_path
):
    if name == "redo":
        dataset.undo_last()
    original, folder = dataset.folder, tmp_path / "copy"
    operate = OPERATIONS[name]
    before = uids(original)
    changed = fresh(original, folder)
    disk.start()
    operate(changed, flight)
    steps = range(1, disk.count + 1)
    done = uids(folder)
    assert len(steps) > 5
    failures, said = 0, []
    for at in steps:
        code = CODES[at % len(CODES)]
        changed = fresh(original, folder)
        disk.start(at, code, for_good)
        try:
            operate(changed, flight)
        except MrisslError as error:
            failures += 1
            said.append(str(error))
        assert disk.refused
        disk.start()
        found = Dataset.open(folder)
        assert found.notes == ()
        length = {"append": 4, "undo": 2, "redo": 3, "task": 3}[name]
        assert len(found) in (len(before), length)
        if name != "append":
            assert uids(folder) in (before, done)
        for number in range(len(found)):
            if (folder / found.entries[number].file).exists():
                found.verify(number)
        # The same again, with a disk that obliges, ends as if nothing had happened.
        found.settle()
        if len(found) == len(before) and name != "task":
            operate(found, flight)
        assert len(uids(folder)) == length
        assert validate(folder).problems == []
        assert not list(folder.rglob("*.tmp"))
    assert failures > 3
    assert str(tmp_path) not in "".join(said)


@pytest.mark.parametrize("for_good", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_commit_can_be_repeated_until_the_disk_obliges(
    for_good, volume, poses, tmp_path, disk, clock
):
    def recorded(folder):
        recorder = Recorder(folder, volume, clock=clock)
        for pose in poses:
            recorder.pose(pose)
            clock.wait(0.05)
        return recorder

    recorded(tmp_path / "first").commit()
    disk.start()
    recorder = recorded(tmp_path / "counted")
    started = disk.count
    recorder.commit()
    assert disk.count > started + 8
    # The journal's own thread asks too, at times of its own: more steps than counted.
    refused = 0
    for at in range(1, disk.count - started + 3):
        folder = tmp_path / f"set{at}"
        disk.start()
        Recorder(folder, volume, clock=clock).discard()
        recorder = recorded(folder)
        disk.start(at, CODES[at % len(CODES)], for_good)
        try:
            recorder.commit()
        except MrisslError:
            refused += 1
            assert Dataset.open(folder).notes == ()
            disk.start()
            recorder.commit()
        disk.start()
        assert uids(folder) == [recorder.uid]
        Dataset.open(folder).settle()
        assert validate(folder).problems == []
        assert validate(folder).unfinished == 0
    assert refused > 4


def damaged(folder, volume, poses, clock):
    """A dataset with one of each damage that repair knows."""
    recorder = Recorder(folder, volume, clock=clock)
    for pose in poses:
        recorder.pose(pose)
    recorder.leave()
    path = next((folder / "open").iterdir())
    lines = path.read_bytes().splitlines(keepends=True)
    lines[20] = lines[20].replace(b"pose", b"nose")
    path.write_bytes(b"".join(lines))
    (folder / "open" / f"{'a' * 32}.jsonl").write_bytes(b"rubbish\n")
    second = folder / "episodes" / "episode_000001.parquet"
    content = bytearray(second.read_bytes())
    content[100] ^= 4
    second.write_bytes(content)
    (folder / "episodes" / "episode_000009.parquet").write_bytes(b"rubbish")
    (folder / "dataset.json").write_bytes((folder / "dataset.json").read_bytes()[:-9])


def test_repair_can_be_cut_off_anywhere_and_run_again(
    dataset, volume, poses, disk, tmp_path, clock
):
    original, folder = dataset.folder, tmp_path / "copy"
    damaged(original, volume, poses, clock)
    # All but the older manifest: a newer one takes its place each time one is written.
    before = {
        path.read_bytes()
        for path in original.rglob("*")
        if path.is_file() and path.name != "dataset.previous.json"
    }
    fresh(original, folder)
    disk.start()
    report = repair(folder)
    steps = disk.count
    assert report.ok
    assert (report.episodes, report.unfinished, len(report.done)) == (2, 1, 8)
    assert repair(folder).done == []
    assert steps > 20
    said = []
    for at in range(1, steps + 1):
        fresh(original, folder)
        disk.start(at, CODES[at % len(CODES)], for_good=True)
        try:
            repair(folder)
        except MrisslError as error:
            said.append(str(error))
        assert disk.refused
        disk.start()
        again = repair(folder)
        assert again.problems == []
        assert (again.episodes, again.unfinished) == (2, 1)
        assert repair(folder).done == []
        kept = {path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        # Nothing is deleted: every file that was there is there, somewhere.
        assert before <= kept
        (one,) = Dataset.open(folder).unfinished()
        assert one.poses == 19
        assert not list(folder.rglob("*.tmp"))
    assert str(tmp_path) not in "".join(said)
