"""The journal of prompts says afterwards what was marked, whatever was done."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from napari_mrissl.segmentation.journal import recover
from napari_mrissl.segmentation.prompts import PromptClass
from napari_mrissl.ui.segmenter.journal import JournalWriter, find_unfinished, journal_folder
from napari_mrissl.ui.segmenter.presets import PRESETS
from napari_mrissl.ui.segmenter.state import PromptState
from napari_mrissl.volumes import Volume

CLASSES = PRESETS["Object / background"]
IDENTITY = "ab" * 32


@pytest.fixture
def state():
    return PromptState(Volume.from_stored(np.zeros((5, 6, 7), np.uint8), np.eye(4)), CLASSES)


def same(prompts, state):
    """Whether prompts hold what a state does, in any order."""
    ours = state.snapshot().prompts()
    return sorted(prompts.points) == sorted(ours.points) and prompts.classes == ours.classes


def test_a_random_session_is_recovered_whole(state):
    random = np.random.default_rng(11)
    state.set_clicks(((0.0, 0.0, 0.0, 1),))
    state.paint([3], [1])
    writer = JournalWriter(state, IDENTITY)
    for _ in range(150):
        match random.integers(0, 7):
            case 0 | 1:
                place = tuple(random.integers(0, 5, 3).astype(float).tolist())
                label = int(random.choice([one.label for one in state.classes]))
                change = state.set_clicks((*state.clicks, (*place, label)))
            case 2:
                kept = [c for c in state.clicks if random.random() < 0.8]
                change = state.set_clicks(tuple(kept))
            case 3:
                voxels = random.integers(0, 200, 12)
                labels = random.choice([0, *(one.label for one in state.classes)], 12)
                change = state.paint(voxels, labels)
            case 4:
                change = state.undo()
            case 5:
                change = state.redo()
            case _:
                label = int(random.integers(1, 4))
                new = PromptClass(label=label, name=f"n{random.integers(9)}", color="#123456")
                others = tuple(one for one in state.classes if one.label != label)
                drop = random.random() < 0.3 and len(others) > 0
                change = state.set_classes(others if drop else (*others, new))
        if change is not None:
            writer.record(change)
    writer.close(keep=True)
    assert same(recover(writer.path), state)


def test_nothing_is_offered_while_a_session_writes_or_after_it_was_saved(state):
    writer = JournalWriter(state, IDENTITY)
    writer.record(state.set_clicks(((1.0, 2.0, 3.0, 1),)))
    assert find_unfinished(IDENTITY) is None
    writer.close(keep=True)
    found = find_unfinished(IDENTITY)
    assert found is not None
    assert same(found.prompts, state)
    assert find_unfinished("cd" * 32) is None
    found.discard()
    assert find_unfinished(IDENTITY) is None
    second = JournalWriter(state, IDENTITY)
    second.close(keep=False)
    assert list(journal_folder().iterdir()) == []


def test_an_empty_or_torn_journal_is_not_offered(state):
    JournalWriter(state, IDENTITY).close(keep=True)
    (journal_folder() / f"{IDENTITY[:16]}-torn.jsonl").write_bytes(b'{"jou')
    assert find_unfinished(IDENTITY) is None


def test_after_a_kill_the_clicks_older_than_a_second_are_there(tmp_path):
    script = textwrap.dedent(f"""
        import time, numpy as np
        from napari_mrissl.ui.segmenter.journal import JournalWriter
        from napari_mrissl.ui.segmenter.presets import PRESETS
        from napari_mrissl.ui.segmenter.state import PromptState
        from napari_mrissl.volumes import Volume
        volume = Volume.from_stored(np.zeros((5, 6, 7), np.uint8), np.eye(4))
        state = PromptState(volume, PRESETS["Object / background"])
        writer = JournalWriter(state, {IDENTITY!r})
        for n in range(20):
            writer.record(state.set_clicks((*state.clicks, (float(n), 0.0, 0.0, 1))))
        writer.record(state.paint([1, 2, 3], [2, 2, 2]))
        time.sleep(1.2)
        print("ready", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env=os.environ.copy(),
        encoding="utf-8",
    ) as child:
        assert child.stdout.readline() == "ready\n"
        assert find_unfinished(IDENTITY) is None
        child.send_signal(signal.SIGKILL)
        child.wait()
    found = find_unfinished(IDENTITY)
    assert [p.label for p in found.prompts.points].count(1) == 20
    assert [p.kind for p in found.prompts.points].count("scribble") == 3
