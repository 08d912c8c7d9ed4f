"""Edits of prompts: applied, undone, journaled, recovered after a kill."""

import signal
import subprocess
import sys
import time

import pytest

from napari_mrissl.errors import MrisslError
from napari_mrissl.segmentation import PromptClass, PromptJournal, Prompts, recover
from napari_mrissl.segmentation.edits import (
    Add,
    Move,
    Paint,
    Remove,
    RemoveClass,
    Replace,
    SetClass,
)
from napari_mrissl.trajectories import Journal

EDITS = [
    SetClass(new=PromptClass(label=2, name="vessel", color="#ff0000")),
    Add(points=((1, 2, 3, 1), (4, 5, 6, 2), (7, 8, 9, 3))),
    Move(index=1, to=(4.5, 5, 6)),
    Paint(positions=((0, 0, 0), (0, 0, 1), (0, 0, 2)), label=2),
    Paint(positions=((0, 0, 1.0001),), label=0),
    Paint(positions=((0, 0, 2),), label=1),
    Remove(indices=(0,)),
    RemoveClass(label=3),
]


def edited(edits):
    prompts = Prompts(volume_identity="cd" * 32, description="kept")
    for edit in edits:
        prompts = edit.apply(prompts)
    return prompts


def test_edits_do_what_they_say():
    prompts = edited(EDITS)
    assert prompts.points == (
        (4.5, 5.0, 6.0, 2, "click"),
        (0.0, 0.0, 0.0, 2, "scribble"),
        (0.0, 0.0, 2.0, 1, "scribble"),
    )
    assert [(c.label, c.name) for c in prompts.classes] == [(1, "class 1"), (2, "vessel")]
    assert prompts.volume_identity == "cd" * 32
    assert prompts.description == "kept"


@pytest.mark.parametrize("edit", [Remove(indices=(3,)), Move(index=0, to=(0, 0, 0))])
def test_a_point_that_is_not_there(edit):
    with pytest.raises(MrisslError, match="prompt number"):
        edit.apply(Prompts())


def test_a_journal_is_recovered(tmp_path):
    path = tmp_path / "prompts.jsonl"
    journal = PromptJournal(path, edited([]))
    for edit in EDITS:
        journal.append(edit)
    journal.close()
    assert recover(path) == edited(EDITS)
    raw = path.read_bytes()
    path.write_bytes(raw[:-5])  # the last line is torn
    assert recover(path) == edited(EDITS[:-1])


def test_an_undo_is_journaled_as_a_replacement(tmp_path):
    path = tmp_path / "prompts.jsonl"
    journal = PromptJournal(path)
    journal.append(EDITS[1])
    journal.append(Replace(prompts=Prompts()))
    journal.close()
    assert recover(path) == Prompts()


def test_other_journals_and_wrong_edits_are_refused(tmp_path):
    for header, event, says in (
        ({"kind": "flight"}, {}, "not a journal of prompts"),
        ({"kind": "prompts"}, {"edit": "explode"}, "edit 0"),
        ({"kind": "prompts"}, {"edit": "remove", "indices": [5]}, "edit 0"),
    ):
        path = tmp_path / f"{says[:6]}-{len(event)}.jsonl"
        journal = Journal(path, header)
        journal.append(event)
        journal.close()
        with pytest.raises(MrisslError, match=says):
            recover(path)


KILLED = """
import sys, time
from napari_mrissl.segmentation import PromptJournal
from napari_mrissl.segmentation.edits import Add
journal = PromptJournal(sys.argv[1])
for k in range(100_000):
    journal.append(Add(points=((k, 0, 0, 1),)))
    print(k, time.time(), flush=True)
    time.sleep(0.01)
"""


def test_kill_9_loses_at_most_a_second(tmp_path):
    path = tmp_path / "prompts.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        lines = [process.stdout.readline()]
        until = time.time() + 2.0
        while time.time() < until:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    killed = time.time()
    done = [line.split() for line in lines if line.endswith("\n")]
    old = sum(float(when) < killed - 1.0 for _, when in done)
    assert old > 10
    assert len(recover(path).points) >= old
