"""Bar C4: folders that cannot be written or are gone, and odd names: success or a sentence."""

import json
import os
import shutil
from itertools import pairwise

import pytest

from napari_mrissl.cli import main
from napari_mrissl.errors import MrisslError
from napari_mrissl.training import checkpoints, launch
from napari_mrissl.training.loop import Failed
from napari_mrissl.training.run import Run
from tests.training.runs_of_toys import assert_same, trained
from tests.training.small_disks import mounted
from tests.training.toy import Toy, toy_settings

SETTINGS = toy_settings(optimisation={"steps": 4, "warmup": 0}, checkpoint={"every": 2})

NAMES = {
    "spaces": "a run of mine",
    "spaces about it": " run ",
    "accents, Cyrillic, Chinese": "Läufe мрт 磁共振",
    "combining marks": "e\u0301tude",
    "a picture": "\U0001f9e0",
    "200 letters": "r" * 200,
    "255 letters": "r" * 255,
    "a command": ";$(touch canary)",
    "more commands": "`touch canary`|touch canary&touch canary;",
    "quotes": "\"'\\",
    "an option": "--json",
    "a pattern": "*[ab]?{c}",
    "fields to fill in": "%s%n{0}{}",
    "a line end": "run\nmrissl: all is well",
    "a terminal's command": "\x1b]0;owned\x07",
    "reading direction": "run\u202egnp",
    "a drive": "C:\\run",
    "a home": "~root",
    "a suffix of ours": ".mrissl-run.tmp",
}
REFUSED = {
    "256 letters": ("r" * 256, "File name too long"),
    "bytes that are no text": ("run\udcff", "has letters that are no text"),
    "NUL": ("a\0b", "is no name of a folder"),
    "no folder above": ("nowhere/run", "folder is not there"),
    "a file above": ("file/run", "folder is not there"),
    "a file": ("file", "is there already"),
    "a folder": ("folder", "is there already"),
    "a link to nothing": ("link", "is there already"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_run_trains_whatever_its_folder_is_called(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / NAMES[kind]
    run, state = trained(folder, SETTINGS)
    assert (state.name, state.step, state.checkpoint) == ("finished", 4, 4)
    assert checkpoints.newest(folder)[1] == []
    assert os.listdir(tmp_path) == [NAMES[kind]]
    run.extend(5)
    assert trained(folder, SETTINGS)[1].step == 5
    capsys.readouterr()
    assert main(["run", "show", str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["step"] == 5
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert "\nmrissl: all is well" not in said.err


@pytest.mark.parametrize("kind", ["a command", "a line end"])
def test_a_child_finds_such_a_folder(tmp_path, monkeypatch, begin, kind):
    monkeypatch.chdir(tmp_path)
    run = Run.create(tmp_path / NAMES[kind], SETTINGS)
    begin(run, "obey")
    while run.state().step < 2:
        assert run.state().active
    assert launch.stop(run.folder).name == "stopped"
    assert os.listdir(tmp_path) == [NAMES[kind]]


@pytest.mark.parametrize("kind", REFUSED)
def test_a_run_that_cannot_lie_there_is_refused(tmp_path, kind):
    name, said = REFUSED[kind]
    (tmp_path / "file").write_text("mine", "utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(MrisslError, match=said) as told:
        Run.create(tmp_path / name, SETTINGS)
    assert str(told.value).isprintable()
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_text("utf-8") == "mine"


def test_a_run_that_was_renamed_to_what_is_no_text_is_said(tmp_path, capsys):
    run = Run.create(tmp_path / "run", SETTINGS)
    moved = run.folder.rename(tmp_path / "run\udcff")
    assert main(["run", "show", str(moved)]) == 2
    assert "has letters that are no text" in capsys.readouterr().err
    with pytest.raises(MrisslError, match="no text"):
        trained(moved, SETTINGS)
    moved.rename(run.folder)
    assert trained(run.folder, SETTINGS)[1].name == "finished"


@pytest.fixture
def disk(tmp_path):
    """A file system that can be made read-only and be taken away."""
    made = mounted(tmp_path / "disk")
    if made is None:
        pytest.skip("needs the right to mount a file system")
    yield made
    if os.path.ismount(made.folder):
        made.take_away()


def test_nothing_is_made_where_nothing_can_be_written(disk):
    disk.protect(readonly=True)
    with pytest.raises(MrisslError, match=r"Read-only file system.*choose another folder"):
        Run.create(disk.folder / "run", SETTINGS)


def test_a_run_that_became_read_only_is_shown_and_goes_on_when_it_is_not(disk, tmp_path):
    run, _ = trained(disk.folder / "run", SETTINGS, stop_after=3)
    disk.protect(readonly=True)
    with pytest.raises(MrisslError, match="Read-only file system"):
        trained(run.folder, SETTINGS)
    with pytest.raises(MrisslError, match="Read-only file system"):
        launch.start(run.folder)
    state = Run.open(run.folder).state()
    assert (state.name, state.step, state.alive) == ("stopped", 3, False)
    disk.protect(readonly=False)
    run, state = trained(run.folder, SETTINGS)
    assert state.name == "finished"
    assert_same(run, trained(tmp_path / "unbroken", SETTINGS)[0])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o500)
    with pytest.raises(MrisslError, match="Permission denied"):
        Run.create(tmp_path / "theirs" / "run", SETTINGS)


def lost(monkeypatch, folder, lose):
    """Train, and lose the folder in the third step."""
    right = Toy.losses

    def losses(self, network, batch, collective):
        if network.training and int(batch["step"][0]) == 2:
            lose()
        return right(self, network, batch, collective)

    monkeypatch.setattr(Toy, "losses", losses)
    with pytest.raises(Failed) as told:
        trained(folder, SETTINGS)
    monkeypatch.setattr(Toy, "losses", right)
    said = str(told.value)
    assert "No such file or directory" in said or "Not a directory" in said
    assert str(folder.parent) not in said
    return said


def test_a_folder_that_is_deleted_while_it_trains_is_said(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    lost(monkeypatch, folder, lambda: shutil.rmtree(folder))
    assert not folder.exists()
    with pytest.raises(MrisslError, match=r"has no settings\.json"):
        Run.open(folder)


def test_a_file_in_the_place_of_a_folder_that_trains_stays(tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def replaced():
        shutil.rmtree(folder)
        folder.write_text("mine", "utf-8")

    lost(monkeypatch, folder, replaced)
    assert folder.read_text("utf-8") == "mine"


def test_a_folder_whose_disk_goes_away_while_it_trains_is_said(disk, monkeypatch):
    lost(monkeypatch, disk.folder / "run", disk.take_away)
    assert os.listdir(disk.folder) == []


def test_a_folder_that_was_moved_away_and_back_goes_on(tmp_path, monkeypatch):
    folder, away = tmp_path / "run", tmp_path / "away"
    lost(monkeypatch, folder, lambda: folder.rename(away))
    away.rename(folder)
    run, state = trained(folder, SETTINGS)
    assert state.name == "finished"
    assert_same(run, trained(tmp_path / "unbroken", SETTINGS)[0])
    steps = [event.step for event in run_steps(run)]
    assert all(second <= first + 1 for first, second in pairwise(steps))


def run_steps(run):
    from napari_mrissl.training.events import EventTail, StepEvent

    return [event for event in EventTail(run.folder).poll() if isinstance(event, StepEvent)]
