"""Journals: complete, stamped, never silent about errors, strict when read."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.trajectories import (
    Journal,
    journal,
    read_journal,
    read_records,
    recoverable_records,
)

_ROOT = Path(__file__).resolve().parents[2]


def test_what_goes_in_comes_out(tmp_path):
    path = tmp_path / "journal.jsonl"
    events = [{"n": n, "text": "ä\n", "list": [0.1, None, True]} for n in range(500)]
    before = time.monotonic_ns()
    with Journal(path, {"about": "ünits"}) as opened:
        assert [opened.append(event) for event in events] == list(range(500))
    taken = time.monotonic_ns() - before
    header, found = read_journal(path)
    assert header == {"about": "ünits"}
    assert found == events
    _, records = read_records(path)
    stamps = [record.t_ns for record in records]
    assert stamps == sorted(stamps)
    assert 0 <= stamps[0] <= stamps[-1] <= taken


def test_events_are_on_disk_soon_without_closing(tmp_path):
    path = tmp_path / "j"
    opened = Journal(path, {})
    for n in range(10):
        opened.append({"n": n})
    deadline = time.monotonic() + 20
    while len(read_journal_or_nothing(path)) < 10 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(read_journal(path)[1]) == 10
    opened.close()
    opened.close()
    with pytest.raises(MrisslError, match="closed"):
        opened.append({})


def test_events_are_copied_when_appended(tmp_path):
    event = {"n": [1]}
    with Journal(tmp_path / "j", {}) as opened:
        opened.append(event)
        event["n"].append(2)
    assert read_journal(tmp_path / "j")[1] == [{"n": [1]}]


def test_many_threads_append_in_order(tmp_path):
    with Journal(tmp_path / "j", {}) as opened:

        def add(who):
            for n in range(200):
                opened.append({"who": who, "n": n})

        writers = [threading.Thread(target=add, args=(who,)) for who in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    _, events = read_journal(tmp_path / "j")
    assert len(events) == 800
    for who in range(4):
        assert [e["n"] for e in events if e["who"] == who] == list(range(200))


def test_what_takes_long_to_find_holds_nothing_up(tmp_path):
    proceed = threading.Event()

    def late():
        proceed.wait()
        return {"late": True}

    opened = Journal(tmp_path / "j", {"about": 1}, late=late)
    opened.append({"n": 0})
    deadline = time.monotonic() + 20
    while not read_journal_or_nothing(tmp_path / "j") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read_journal(tmp_path / "j") == ({"about": 1}, [{"n": 0}])
    proceed.set()
    opened.close()
    assert read_journal(tmp_path / "j") == ({"about": 1}, [{"n": 0}, {"late": True}])


def test_dropping_does_not_wait_for_what_takes_long(tmp_path):
    proceed, told = threading.Event(), []

    def late():
        proceed.wait()
        return {"late": True}

    opened = Journal(tmp_path / "j", {}, late=late, on_error=told.append)
    opened.drop()
    proceed.set()
    opened.close()
    assert (told, os.listdir(tmp_path)) == ([], [])


@pytest.mark.parametrize(
    ("error", "said"),
    [(MrisslError("no identity"), "no identity"), (MemoryError(), "MemoryError")],
)
def test_what_cannot_be_found_is_told_and_what_came_before_is_kept(error, said, tmp_path):
    proceed, told = threading.Event(), []

    def late():
        proceed.wait()
        raise error

    opened = Journal(tmp_path / "j", {}, late=late, on_error=told.append)
    opened.append({"n": 0})
    proceed.set()
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(MrisslError, match=said):
        opened.append({"n": 1})
    with pytest.raises(MrisslError, match=said):
        opened.close()
    assert [said in str(one) for one in told] == [True]
    assert read_journal(tmp_path / "j") == ({}, [{"n": 0}])


def test_any_failure_of_the_writer_is_told(tmp_path, monkeypatch):
    def write(*_):
        raise MemoryError

    monkeypatch.setattr(journal, "_write", write)
    told = []
    opened = Journal(tmp_path / "j", {}, on_error=told.append)
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "could not be written (MemoryError)" in str(told[0])
    with pytest.raises(MrisslError, match="MemoryError"):
        opened.append({"n": 0})
    with pytest.raises(MrisslError, match="MemoryError"):
        opened.close()


def test_leaving_without_closing_loses_nothing(tmp_path):
    code = (
        "from napari_mrissl.trajectories import Journal\n"
        f"j = Journal({str(tmp_path / 'j')!r}, {{}})\n"
        "for n in range(100): j.append({'n': n})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=_ROOT, timeout=60)
    assert len(read_journal(tmp_path / "j")[1]) == 100


@pytest.mark.parametrize("event", [{"n": float("nan")}, {"n": {1}}, {"n": np.float32(1)}])
def test_what_is_no_json_is_refused_at_once(event, tmp_path):
    with Journal(tmp_path / "j", {}) as opened:
        with pytest.raises(MrisslError, match="JSON"):
            opened.append(event)
        opened.append({"n": 1})
    assert read_journal(tmp_path / "j")[1] == [{"n": 1}]


def test_an_existing_file_is_never_touched(tmp_path):
    path = tmp_path / "j"
    path.write_text("mine", "utf-8")
    with pytest.raises(MrisslError, match="exists already"):
        Journal(path, {})
    assert path.read_text("utf-8") == "mine"
    with pytest.raises(MrisslError, match="could not be written"):
        Journal(tmp_path / "absent" / "j", {})


@pytest.mark.parametrize("failing", ["write", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_refusing_disk_is_told_on_the_next_append_and_on_closing(
    failing, code, tmp_path, monkeypatch
):
    told = []
    opened = Journal(tmp_path / "j", {}, on_error=told.append)
    opened.append({"n": 0})
    while len(read_journal_or_nothing(tmp_path / "j")) < 1:
        time.sleep(0.01)

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    if failing == "write":
        monkeypatch.setattr(journal, "_write", refuse)
    else:
        monkeypatch.setattr(journal.os, "fsync", refuse)
    opened.append({"n": 1})
    deadline = time.monotonic() + 20
    while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.strerror(code) in str(told[0])
    assert str(tmp_path) not in str(told[0])
    with pytest.raises(MrisslError, match="could not be written"):
        opened.append({"n": 2})
    with pytest.raises(MrisslError, match="could not be written"):
        opened.close()
    monkeypatch.undo()
    assert read_journal(tmp_path / "j")[1][0] == {"n": 0}
    assert len(told) == 1


def read_journal_or_nothing(path):
    try:
        return read_journal(path)[1]
    except MrisslError:
        return []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_a_full_disk_keeps_what_was_written(tmp_path):
    code = (
        "import resource, signal, sys, time\n"
        "from napari_mrissl.errors import MrisslError\n"
        "from napari_mrissl.trajectories import Journal\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        f"j = Journal({str(tmp_path / 'j')!r}, {{}})\n"
        "try:\n"
        "    for n in range(100000): j.append({'n': n}); time.sleep(0.0002)\n"
        "except MrisslError as error:\n"
        "    sys.exit(5 if 'File too large' in str(error) else 6)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=_ROOT, timeout=60)
    assert done.returncode == 5
    events = read_journal(tmp_path / "j")[1]
    assert len(events) > 50
    assert [event["n"] for event in events] == list(range(len(events)))


def lines_of(path, count=5):
    with Journal(path, {"a": 1}) as opened:
        for n in range(count):
            opened.append({"n": n})
    return path.read_bytes().splitlines(keepends=True)


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "j"
    lines = lines_of(path)
    whole = b"".join(lines)
    for kept in range(len(lines[0]), len(whole) + 1):
        path.write_bytes(whole[:kept])
        expected = whole[:kept].count(b"\n") - 1
        assert len(read_journal(path)[1]) == expected
    path.write_bytes(whole + b"\0" * 300)
    assert len(read_journal(path)[1]) == 5


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_a_torn_header_is_told(kept, tmp_path):
    path = tmp_path / "j"
    whole = b"".join(lines_of(path))
    path.write_bytes(whole[:kept])
    with pytest.raises(MrisslError, match="first line"):
        read_journal(path)


def sealed(record):
    """A line with a checksum that is right, by zlib's own hand."""
    content = {key: value for key, value in record.items() if key != "crc32"}
    body = json.dumps(content, separators=(",", ":"))[:-1].encode()
    return body + b',"crc32":"%08x"}\n' % zlib.crc32(body)


def test_every_line_ends_with_the_checksum_of_what_is_before_it(tmp_path):
    for line in lines_of(tmp_path / "j"):
        body, _, rest = line.partition(b',"crc32":"')
        assert rest == b'%08x"}\n' % zlib.crc32(body)
        assert sealed(json.loads(line)) == line


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "j"
    lines_of(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(MrisslError):
            read_journal(path)


def test_the_good_beginning_of_a_damaged_journal_can_be_had(tmp_path):
    path = tmp_path / "j"
    lines = lines_of(path, 9)
    for bad in range(1, 10):
        path.write_bytes(b"".join([*lines[:bad], b"rubbish\n", *lines[bad + 1 :]]))
        header, records, wrong = recoverable_records(path)
        assert (header, [record.event["n"] for record in records]) == ({"a": 1}, [*range(bad - 1)])
        assert f"line {bad + 1} " in str(wrong)
    path.write_bytes(b"".join(lines)[:-3])
    _, records, wrong = recoverable_records(path)
    assert (len(records), wrong) == (8, None)
    path.write_bytes(b"rubbish\n")
    with pytest.raises(MrisslError):
        recoverable_records(path)


def test_a_dropped_journal_is_gone(tmp_path):
    opened = Journal(tmp_path / "j", {})
    opened.append({"n": 1})
    opened.drop()
    assert not (tmp_path / "j").exists()
    with pytest.raises(MrisslError, match="closed"):
        opened.append({})


def test_a_clock_that_goes_backwards_or_stands_still_never_shows(tmp_path):
    ticks = iter([100, 150, 150, 40, 120, 200])
    with Journal(tmp_path / "j", {}, clock=lambda: next(ticks)) as opened:
        assert [opened.record({})[1] for _ in range(5)] == [50, 50, 50, 50, 100]


def test_every_other_damage_is_told_with_its_line(tmp_path):
    path = tmp_path / "j"
    lines = lines_of(path)
    record = json.loads(lines[3])
    damaged = [
        lines[3][:-5] + b"\n",
        b"\n",
        b"[1]\n",
        b"3\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"index":2,"t_ns":NaN,"event":{}}\n',
        b'{"index":' + b"9" * 5000 + b"}\n",
        lines[3].replace(b'"n":2', b'"n":3'),
        lines[3].replace(b'"crc32"', b'"crc33"'),
        lines[3].replace(b"}\n", b"} \n"),
        *(
            sealed(record | change)
            for change in (
                {"index": 3},
                {"index": 2.0},
                {"index": True},
                {"t_ns": -1},
                {"t_ns": 1.5},
                {"t_ns": "now"},
                {"t_ns": 1 << 70},
                {"event": []},
                {"event": None},
            )
        ),
    ]
    for line in damaged:
        path.write_bytes(b"".join([*lines[:3], line, *lines[4:]]))
        with pytest.raises(MrisslError, match="line 4 ") as told:
            read_journal(path)
        assert str(tmp_path) not in str(told.value)
        assert len(str(told.value)) < 250
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    with pytest.raises(MrisslError, match="line 4 has a wrong index"):
        read_journal(path)


@pytest.mark.parametrize(
    "first",
    [b"{}\n", b'{"format":"other","version":1,"header":{}}\n', b"null\n", b"\x89PNG\r\n\x1a\n",
     b'{"format":"napari-mrissl journal","version":1,"header":[]}\n',
     b'{"format":"napari-mrissl journal","version":2,"header":{}}\n'],
)  # fmt: skip
def test_what_is_no_journal_is_told(first, tmp_path):
    path = tmp_path / "j"
    path.write_bytes(first)
    with pytest.raises(MrisslError):
        read_journal(path)


def test_huge_lines_are_refused_without_being_kept(tmp_path):
    path = tmp_path / "j"
    lines = lines_of(path)
    path.write_bytes(b"".join(lines) + b"x" * 5000)
    with pytest.raises(MrisslError, match="longer than 4000 bytes"):
        read_records(path, longest_line=4000)
    path.write_bytes(b"x" * 5000)
    with pytest.raises(MrisslError, match="longer than 4000 bytes"):
        read_records(path, longest_line=4000)


def test_no_file_is_told(tmp_path):
    with pytest.raises(MrisslError, match="could not be read"):
        read_journal(tmp_path / "absent")
    with pytest.raises(MrisslError, match="could not be read"):
        read_journal(tmp_path)
