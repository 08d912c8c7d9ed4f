import os
import shutil

import numpy as np
import pytest
from PIL import Image

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext.task import Shown
from napari_mrissl.training.events import EventTail, EventWriter
from napari_mrissl.training.heartbeat import pulse


def test_what_is_written_is_read_as_it_comes(tmp_path):
    tail = EventTail(tmp_path)
    assert tail.poll() == []
    with EventWriter(tmp_path) as events:
        events.state("running")
        events.step(1, 0.5, {"r": 0.25}, rate=0.1, memory=1 << 40)
        first = tail.poll()
        assert [event.type for event in first] == ["state", "step"]
        assert first[1].terms == {"r": 0.25}
        assert first[1].memory == 1 << 40
        assert tail.poll() == []
        events.chance({"r": 0.5})
        events.validation(1, 0.5, {"r": float("inf")})
        events.checkpoint(1, True)
        events.warning("a\nb \x1b[31m")
        rest = tail.poll()
    assert [event.type for event in rest] == ["chance", "validation", "checkpoint", "warning"]
    assert rest[1].terms == {"r": None}
    assert rest[3].text == "a b ?[31m"
    assert [event.n for event in first + rest] == list(range(6))


def test_a_second_writer_goes_on_after_a_torn_line(tmp_path):
    with EventWriter(tmp_path) as events:
        events.warning("one")
    path = tmp_path / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n":1,"t":5.0,"type":"warn')
    tail = EventTail(tmp_path)
    assert len(tail.poll()) == 1
    with EventWriter(tmp_path) as events:
        events.warning("two")
    assert [event.text for event in tail.poll()] == ["two"]
    assert [event.n for event in EventTail(tmp_path).poll()] == [0, 1]
    assert tail.damaged == 0
    assert tail.generation == 0


@pytest.mark.parametrize("replacement", ["cut", "replaced", "rewritten"])
def test_a_file_that_was_cut_or_replaced_is_read_from_its_start(tmp_path, replacement):
    path = tmp_path / "events.jsonl"
    with EventWriter(tmp_path) as events:
        for n in range(5):
            events.warning(f"old {n}")
    tail = EventTail(tmp_path)
    assert len(tail.poll()) == 5
    lines = path.read_bytes().splitlines(keepends=True)
    if replacement == "cut":
        os.truncate(path, len(lines[0]))
    elif replacement == "replaced":
        (tmp_path / "new").write_bytes(b"".join(lines))
        os.replace(tmp_path / "new", path)
    else:
        # The same file, of the same length and more, with other content.
        path.write_bytes(b"".join(reversed(lines)) + lines[0])
    expected = {"cut": 1, "replaced": 5, "rewritten": 6}[replacement]
    assert len(tail.poll()) == expected
    assert tail.generation == 1


@pytest.mark.parametrize("line", range(3))
def test_every_flipped_bit_in_a_line_costs_that_line_alone(tmp_path, line):
    with EventWriter(tmp_path) as events:
        for n in range(3):
            events.warning(f"{n}")
    path = tmp_path / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    generator = np.random.default_rng(line)
    for place in generator.choice(len(lines[line]) - 1, 20, replace=False):
        bad = bytearray(lines[line])
        bad[place] ^= 1 << int(generator.integers(8))
        if b"\n" in bad[:-1] or b"\r" in bad:
            continue
        path.write_bytes(b"".join([*lines[:line], bytes(bad), *lines[line + 1 :]]))
        tail = EventTail(tmp_path)
        assert [event.text for event in tail.poll()] == [str(n) for n in range(3) if n != line]
        assert tail.damaged == 1


def test_a_picture(tmp_path):
    tiles = np.stack([np.full((4, 6), value, np.float32) for value in (0.0, 0.5, 1.0, np.nan)])
    with EventWriter(tmp_path) as events:
        events.image(20, Shown("Restored / crops", tiles, ("a", "b", "c", "d")))
    (event,) = EventTail(tmp_path).poll()
    assert event.file == "step_000000020_restored-crops.png"
    assert (event.tiles, event.columns, event.captions) == (4, 3, ("a", "b", "c", "d"))
    picture = np.asarray(Image.open(tmp_path / "images" / event.file))
    assert picture.shape == (2 * 4 + 2, 3 * 6 + 4)
    assert [picture[1, 1], picture[1, 9], picture[1, 17]] == [0, 128, 255]


def test_the_heart_beats_at_most_once_a_second_unless_its_patience_changes(tmp_path):
    path = tmp_path / "heartbeat"
    with EventWriter(tmp_path) as events:
        events.beat()
        os.utime(path, (0, 0))
        events.beat()
        assert path.stat().st_mtime == 0
        assert pulse(tmp_path).lost
        events.beat(600.0)
        assert path.stat().st_mtime > 0
    assert pulse(tmp_path).patience == 600
    path.write_text("nan", "utf-8")
    assert pulse(tmp_path).patience == 30


def test_a_full_disk_is_said_and_leaves_whole_events(tmp_path, monkeypatch):
    real, room = os.write, [10]

    def write(file, content):
        if not room[0]:
            raise OSError(28, "No space left on device")
        part, room[0] = content[: room[0]], 0
        return real(file, part)

    with EventWriter(tmp_path) as events:
        events.warning("before")
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(MrisslError, match=r"events\.jsonl.*No space left"):
            events.warning("lost")
        monkeypatch.undo()
        events.warning("after")
    tail = EventTail(tmp_path)
    assert [event.text for event in tail.poll()] == ["before", "after"]
    assert tail.damaged == 0


def test_a_failure_is_logged_without_paths(tmp_path):
    with EventWriter(tmp_path) as events:
        try:
            (tmp_path / "nothing").read_bytes()
        except OSError:
            events.state("failed", "the file is gone")
    log = (tmp_path / "log.txt").read_text("utf-8")
    assert "failed: the file is gone" in log
    assert "test_events.py" in log
    assert "FileNotFoundError" in log
    assert str(tmp_path) not in log


def test_a_folder_that_was_removed_meanwhile_is_never_silent(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with EventWriter(folder) as events:
        events.beat()
        shutil.rmtree(folder)
        with pytest.raises(MrisslError, match=r"log\.txt.*No such file"):
            events.state("running")
        with pytest.raises(MrisslError, match=r"heartbeat.*No such file"):
            events.beat(60.0)
    assert not folder.exists()
    with pytest.raises(MrisslError, match=r"events\.jsonl.*No such file"):
        EventWriter(folder)
