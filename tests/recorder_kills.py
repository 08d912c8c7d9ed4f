"""Kill a recording process at random, again and again: what was acknowledged is never lost.

    python tests/recorder_kills.py FOLDER KILLS SEED

One process imports once and forks a child for each kill: the child records, commits,
undoes, redoes and renames in one dataset, and tells through a pipe what it begins and what
was acknowledged. It prints one JSON line. It is its own second opinion: episodes are counted
by pyarrow from the files, and by the manifest.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from napari_mrissl.geometry import Pose
from napari_mrissl.trajectories import Dataset, Recorder, validate
from napari_mrissl.volumes import Volume

VOLUME = Volume.from_stored(np.zeros((8, 8, 8), np.uint8), np.eye(4))


def pose(number):
    return Pose(np.array([number, 0.5, 0.25]), np.eye(3), 100.0)


def record(folder, seed, pipe):
    """Record until killed; every line is what was begun or what is now promised."""
    dice = random.Random(seed)

    def tell(*words):
        os.write(pipe, (json.dumps([*words, time.monotonic()]) + "\n").encode())

    long = dice.random() < 0.25
    while True:
        recorder = Recorder(folder, VOLUME, columns={"clicks"})
        tell("open", recorder.uid)
        for number in range(700 if long else dice.randrange(5, 40)):
            recorder.pose(pose(number))
            tell("pose", number)
            time.sleep(0.002)
        tell("begin", "commit")
        recorder.commit()
        tell("done", "commit")
        dataset = Dataset.open(folder)
        for name in dice.sample(["undo", "redo", "task"], dice.randrange(0, 3)):
            if name == "undo" and len(dataset) > 1:
                tell("begin", "undo")
                dataset.undo_last()
                tell("done", "undo")
            elif name == "redo" and dataset.undone:
                tell("begin", "redo")
                dataset.redo_last()
                tell("done", "redo")
            elif name == "task":
                tell("begin", "task")
                dataset.set_task(dice.choice("abc"))
                tell("done", "task")


def promised(lines, kept, undone):
    """What must be there: each of the lists that are allowed, and the episode under way."""
    kept, undone, open_uid, poses, begun = list(kept), list(undone), None, [], None
    for word, *rest, stamp in lines:
        if word == "open":
            open_uid, poses = rest[0], []
        elif word == "pose":
            poses.append(stamp)
        elif word == "begin":
            begun = rest[0]
        else:
            kept, undone = after(begun, kept, undone, open_uid)
            open_uid, begun = (None if rest[0] == "commit" else open_uid), None
    allowed = [(kept, undone)]
    if begun:
        allowed.append(after(begun, kept, undone, open_uid))
    return allowed, open_uid, poses, begun


def after(word, kept, undone, open_uid):
    if word == "commit":
        return [*kept, open_uid], []
    if word == "undo":
        return kept[:-1], [*undone, kept[-1]]
    if word == "redo":
        return [*kept, undone[-1]], undone[:-1]
    return kept, undone


def check(folder, lines, killed, kept, undone):
    """Open, recover and compare; a list of what is wrong, and what is there now."""
    wrong = []
    allowed, open_uid, poses, _ = promised(lines, kept, undone)
    began = time.monotonic()
    dataset = Dataset.open(folder)
    wrong += list(dataset.notes)
    found = [entry.uid for entry in dataset.entries]
    if not any(found in (one, [u for u in one if u != open_uid]) for one, _ in allowed):
        wrong.append(f"{len(found)} episodes are listed where {len(allowed[0][0])} were promised")
    due = sum(stamp <= killed - 1 for stamp in poses)
    dataset.settle()
    unfinished = dataset.unfinished()
    for one in unfinished:
        if one.path.stem != open_uid or not due <= one.poses <= len(poses) + 1:
            wrong.append(f"{one.poses} poses of {due} due and {len(poses)} made")
        dataset.recover(one)
    if time.monotonic() - began > 5:
        wrong.append("the lock was not free within 5 s")
    recovered = len(unfinished)
    if due and open_uid not in [entry.uid for entry in dataset.entries]:
        wrong.append("an episode under way for more than a second is not there")
    wrong += validate(folder).problems
    wrong += second_opinion(folder, dataset)
    wrong += [path.name for path in folder.rglob("*.tmp")]
    kept = [entry.uid for entry in Dataset.open(folder).entries]
    return wrong, kept, [entry.uid for entry in Dataset.open(folder).undone], recovered


def second_opinion(folder, dataset):
    """Count episodes and indices from the files alone."""
    import pyarrow.parquet as pq

    index = []
    files = sorted((folder / "episodes").glob("*.parquet"))
    for path in files:
        index += pq.read_table(path, columns=["index"])["index"].to_pylist()
    if len(files) != len(dataset):
        return [f"{len(files)} files and {len(dataset)} entries"]
    return [] if index == list(range(len(index))) else ["indices are not contiguous"]


def in_a_child(function, *words):
    """Run a function in a forked process and return what it returns."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = json.dumps(function(*words))
        except BaseException as error:  # noqa: BLE001 the parent tells
            answer = json.dumps([[f"{type(error).__name__}: {error}"], [], [], 0])
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        answer = file.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def kill_once(folder, seed, dice):
    """Record in a child and kill it; what it told, and when it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        record(folder, seed, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        first = file.readline()
        # Long enough for the slow start of the first commit in a fresh process.
        time.sleep(dice.choice([*(dice.uniform(0, 0.5) for _ in range(9)), 1.5]))
        os.kill(child, signal.SIGKILL)
        killed = time.monotonic()
        told = first + file.read()
    os.waitpid(child, 0)
    return [json.loads(line) for line in told.split(b"\n")[:-1]], killed


def main(folder, kills, seed):
    dice = random.Random(seed)
    kept, undone, wrong, within = [], [], [], {}
    recovered = 0
    for number in range(kills):
        lines, killed = kill_once(folder, seed * 1000 + number, dice)
        begun = promised(lines, kept, undone)[3]
        within[begun or "flying"] = within.get(begun or "flying", 0) + 1
        found, kept, undone, more = in_a_child(check, folder, lines, killed, kept, undone)
        wrong += [f"kill {number}: {one}" for one in found]
        recovered += more
        if found:
            break
    report = {"kills": kills, "killed_while": within, "episodes": len(kept),
              "recovered": recovered, "wrong": wrong}  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    import pyarrow.parquet  # noqa: F401 imported once, before forking

    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
