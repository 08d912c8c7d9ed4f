"""Train a toy run in a process of its own, as ``napari_mrissl.cli.child`` trains real ones.

``RUN`` trains it. ``RUN KILLS SEED UNBROKEN`` trains it in one forked child after the other,
each killed with SIGKILL at some moment, and at last in one that may finish; before them, the
run ``UNBROKEN`` in one that is left alone.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo  # which optimisers import late: once here instead of in every child

from napari_mrissl.cli.child import stopping_on_signals
from napari_mrissl.cli.terminal import one_sentence, say
from napari_mrissl.training.events import EventTail, StepEvent
from napari_mrissl.training.loop import Failed, fit
from napari_mrissl.training.run import Run
from tests.training.toy import REGISTRY, Blobs

Train = Callable[[Path], None]


def train(folder: Path) -> None:
    with stopping_on_signals() as interrupted:
        try:
            fit(Run.open(folder), REGISTRY, Blobs(), Blobs(2, first=50), interrupted=interrupted)
        except Failed as reason:
            say(one_sentence(str(reason)))
            raise


def forked(folder: Path, train: Train) -> int:
    """A child that trains the run; torch has run nothing in this process, so forking is safe."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        train(folder)
        code = 0
    finally:
        os._exit(code)


def finish(folder: Path, train: Train) -> None:
    """Train a run to its end in a child."""
    _, status = os.waitpid(forked(folder, train), 0)
    if status:
        sys.exit(1)


def kill_and_go_on(folder: Path, kills: int, seed: int, train: Train) -> None:
    """Print at which step each child was killed."""
    rng = random.Random(seed)
    tail = EventTail(folder)
    steps = Run.open(folder).settings.optimisation.steps
    for number in range(kills):
        child = forked(folder, train)
        # Somewhere in the run, and anywhere between two events: writing a checkpoint too.
        target = (number + 1) * steps // (kills + 2) + rng.randrange(4)
        step = 0
        while step < target:
            done = [e.step for e in tail.poll() if isinstance(e, StepEvent)]
            step = done[-1] if done else step
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(step if os.WIFSIGNALED(status) else "survived", flush=True)
    finish(folder, train)


def main(train: Train) -> None:
    """What the words of the command line ask for."""
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        finish(Path(sys.argv[4]), train)
        kill_and_go_on(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), train)
    else:
        train(Path(sys.argv[1]))


if __name__ == "__main__":
    main(train)
