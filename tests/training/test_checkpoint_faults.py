"""Every write, sync and rename of a checkpoint refused, one by one; and its process killed."""

import errno
import os
import random
import shutil
import signal
import time
from itertools import count

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.training import checkpoints
from napari_mrissl.training.run import Run
from napari_mrissl.volumes import atomic

torch = pytest.importorskip("torch")

CODES = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)


def save(folder, step):
    state = {"a": torch.full((50,), float(step))}
    groups = {"weights": state, "optimizer": {"m/a": -state["a"]}}
    return checkpoints.save(folder, step, groups, {"step": step}, best=step == 1, keep=2)


def assert_whole(folder, allowed):
    """The newest checkpoint is one of those allowed, and every number in it is of its step."""
    found, warnings = checkpoints.newest(folder)
    assert warnings == []
    groups, plain = found.load()
    assert found.step in allowed
    assert plain == {"step": found.step}
    assert torch.equal(groups["weights"]["a"], torch.full((50,), float(found.step)))
    assert torch.equal(groups["optimizer"]["m/a"], torch.full((50,), -float(found.step)))
    state, card = weights.load(folder / "weights.safetensors")
    assert torch.equal(state["a"], torch.full((50,), float(card["step"])))
    return found.step, card["step"]


class Disk:
    """Counts what is asked of the disk, and refuses the n-th."""

    def __init__(self, monkeypatch):
        self.asked, self.at, self.code = 0, None, 0
        for name in ("fsync", "replace", "rename", "link", "unlink", "mkdir"):
            monkeypatch.setattr(os, name, self.guarded(getattr(os, name)))
        opened = os.fdopen

        def fdopen(descriptor, *words, **named):
            file = opened(descriptor, *words, **named)
            if words and "w" in words[0]:
                return _File(file, self)
            return file

        monkeypatch.setattr(atomic.os, "fdopen", fdopen)

    def guarded(self, function):
        def asked(*words, **named):
            self.ask()
            return function(*words, **named)

        return asked

    def ask(self):
        self.asked += 1
        if self.asked == self.at:
            raise OSError(self.code, os.strerror(self.code))

    def refuse(self, at, code):
        self.asked, self.at, self.code = 0, at, code


class _File:
    def __init__(self, file, disk):
        self._file, self._disk = file, disk

    def write(self, content):
        # Half of it arrives, as on a disk that fills up.
        self._file.write(content[: len(content) // 2])
        self._disk.ask()
        return self._file.write(content[len(content) // 2 :])

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *words):
        return self._file.__exit__(*words)


def save_or_say(folder, step):
    try:
        save(folder, step)
    except MrisslError as error:
        return str(error)
    return None


def refused_one_by_one(run, monkeypatch, codes):
    for step in (1, 2, 3):
        save(run.folder, step)
    original = run.folder.parent / "original"
    shutil.copytree(run.folder, original, symlinks=True)
    disk = Disk(monkeypatch)
    told = 0
    for code in codes:
        for n in count(1):
            disk.refuse(None, code)
            shutil.rmtree(run.folder)
            shutil.copytree(original, run.folder)
            disk.refuse(n, code)
            said = save_or_say(run.folder, 4)
            told += said is not None
            refused = disk.asked >= n
            disk.refuse(None, code)
            assert said is None or (os.strerror(code) in said and str(run.folder) not in said)
            newest, placed = assert_whole(run.folder, {3, 4})
            assert placed in (newest, 3)
            # The next process tidies up, and its weights are the newest.
            checkpoints.recover(run.folder)
            newest, placed = assert_whole(run.folder, {3, 4})
            assert placed == newest
            assert not list(run.folder.rglob("*.tmp"))
            save(run.folder, 5)
            assert assert_whole(run.folder, {5}) == (5, 5)
            if not refused:
                break
        assert n > 25
    # Only what comes after the commit, or has another way round, may be refused in silence.
    assert told > 20 * len(codes)


def test_every_refusal_leaves_a_whole_checkpoint(run, monkeypatch):
    refused_one_by_one(run, monkeypatch, CODES[:1])


@pytest.mark.slow
def test_every_refusal_of_every_kind_leaves_a_whole_checkpoint(run, monkeypatch):
    refused_one_by_one(run, monkeypatch, CODES)


def kills(run, times):
    """Kill a process that does nothing but save, slowly, and look at what it leaves."""
    save(run.folder, 1)
    dice = random.Random(3)
    within = 0
    for _ in range(times):
        first = checkpoints.recover(run.folder)[0].step + 1
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _save_slowly(run.folder, first, writing)
        os.close(writing)
        os.read(reading, 1)
        time.sleep(dice.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        said = b"s"
        while more := os.read(reading, 4096):
            said += more
        os.close(reading)
        acknowledged = first - 1 + said.count(b"d")
        within += said.endswith(b"s")
        newest, _ = assert_whole(run.folder, {acknowledged, acknowledged + 1})
        assert Run.open(run.folder).state().checkpoint == newest
    checkpoints.recover(run.folder)
    assert not list(run.folder.rglob("*.tmp"))
    return within


def _save_slowly(folder, first, writing):
    synced = os.fsync

    def fsync(file):
        time.sleep(0.001)
        synced(file)

    os.fsync = fsync
    try:
        for step in count(first):
            os.write(writing, b"s")
            save(folder, step)
            os.write(writing, b"d")
    finally:
        os._exit(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_no_kill_while_saving_loses_a_checkpoint(run):
    assert kills(run, 15) >= 8


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_no_kill_of_200_while_saving_loses_a_checkpoint(run):
    assert kills(run, 200) >= 100
