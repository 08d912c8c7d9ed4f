"""What the tests of flights share: a small scan, a few moves, waiting for the disk."""

import numpy as np

from napari_mrissl.volumes.volume import Volume


def small_volume(value=1.0):
    """A bright ball."""
    index = np.indices((24, 24, 24), np.float32)
    voxels = value * np.exp(-((index - 11.5) ** 2).sum(axis=0) / 60)
    return Volume.from_stored(voxels.astype(np.float32), np.diag([2.0, 2, 2, 1]), name="ball")


def settled(deck, qtbot):
    """Wait until everything is on disk."""
    qtbot.waitUntil(lambda: not deck.shelf.busy and not deck.saving, timeout=20_000)


def steps(state, count=5, qtbot=None):
    """Move a few times, each on screen for a frame; the poses, the first included."""
    poses = [state.pose]
    for _ in range(count):
        if qtbot is not None:
            qtbot.wait(60)
        state.move([0.01, 0.02, 0, 0.05, 0, 0, 0])
        poses.append(state.pose)
    return poses


def rows(poses):
    """Poses as an array (poses, 8)."""
    return np.array([pose.to_row() for pose in poses])
