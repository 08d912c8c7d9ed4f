"""Compose a flight from actions and store it in a dataset: how the demo's flight was made.

Run it with a folder to write to:  python tutorials/fly_a_path.py my_flight
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.trajectories import Flight, flight_of, open_or_create
from napari_mrissl.volumes import Volume
from napari_mrissl.volumes.samples import mni152

FRAMES_PER_SECOND = 20

# Each leg: seconds, and the whole action (dr, du, dn, wr, wu, wn, ds) that it adds up to:
# shifts in fractions of the field of view, rotations in radians, log of the zoom.
LEGS = (
    (2.0, (0, 0, 0.22, 0, 0, 0, 0)),  # scroll towards the vertex
    (1.5, (0, 0, -0.24, 0, 0, 0, 0)),  # and back, through the lateral ventricles
    (2.0, (0, 0, 0, np.pi / 2, 0, 0, 0)),  # tilt from axial to coronal
    (1.5, (0, 0, 0, 0, 0.6, 0, 0)),  # turn to an oblique plane
    (1.0, (0.05, 0.02, 0, 0, 0, 0, -0.5)),  # zoom in
    (1.0, (-0.05, -0.02, 0, 0, 0, 0, 0.5)),  # and out
)


def fly(volume: Volume) -> Flight:
    """A flight that starts axial, scrolls, tilts to coronal, turns oblique and zooms."""
    poses = [Pose.from_normal_up(volume.center, (0, 0, 1), (0, 1, 0), fov=215.0)]
    for seconds, total in LEGS:
        frames = round(seconds * FRAMES_PER_SECOND)
        # Cosine easing: starts and ends each leg at rest, as a hand does.
        done = (1 - np.cos(np.pi * np.arange(frames + 1) / frames)) / 2
        for share in np.diff(done):
            poses.append(apply_action(poses[-1], share * np.array(total)))
    return flight_of(volume, poses, hertz=FRAMES_PER_SECOND, policy="composed")


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "my_flight")
    flight = fly(mni152(resolution=1))
    open_or_create(folder, FRAMES_PER_SECOND).append(flight, task="look around")
    print(f"{len(flight.poses)} poses written to {folder.name}")
