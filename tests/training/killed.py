"""Kill a run again and again, and compare its end with that of one that was left alone."""

import subprocess
import sys
from pathlib import Path

from napari_mrissl.training.events import CheckpointEvent, EventTail, StepEvent
from tests.training.runs_of_toys import assert_same

ROOT = Path(__file__).resolve().parents[2]


def check_killed(run, unbroken, kills, child):
    """Train both with the words of a child process, see `tests.training.toy_child`."""
    words = [sys.executable, *child, str(run.folder), str(kills), "1", str(unbroken.folder)]
    ended = subprocess.run(
        words, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60 + 30 * kills, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    killed_at = ended.stdout.split()
    assert len(killed_at) == kills
    assert "survived" not in killed_at
    assert run.state().name == "finished"
    assert_same(run, unbroken)
    check_nothing_was_lost(run)
    # What the killed processes left half-written is gone.
    assert list(run.folder.rglob("*.tmp")) == []


def check_nothing_was_lost(run):
    """After each kill the run went on from the newest checkpoint that had been committed."""
    committed, last = 0, 0
    for event in EventTail(run.folder).poll():
        if isinstance(event, CheckpointEvent):
            committed = event.step
        elif isinstance(event, StepEvent):
            if event.step <= last:
                # A checkpoint can be committed and its event not yet written.
                assert committed < event.step <= last + 1
            else:
                assert event.step == last + 1
            last = event.step
    assert last == run.settings.optimisation.steps
