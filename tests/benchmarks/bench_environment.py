"""Steps a second of slices flown side by side, against Gymnasium's loop and against scipy.

``python tests/benchmarks/bench_environment.py [--quick]``

Every candidate flies the same way over the same heads: back and forth by small actions, so
that slices stay in the head. A step shows three crossing slices of each environment.
"""

from __future__ import annotations

import os
import sys

# One thread each: side by side has no other advantage than what it saves.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import gymnasium
import numpy as np
from measure import Table, measure, save
from numpy.typing import NDArray
from slicing_rivals import Scipy, coordinates

from napari_mrissl.environments import SLICE_PLANE
from napari_mrissl.environments.flying import Flying, _crossing
from napari_mrissl.environments.slice_plane import SlicePlane
from napari_mrissl.evaluation.navigation.demonstrations import LIMITS
from napari_mrissl.slicing.planes import planes_of_poses

COUNT = 64
OURS, LOOP = "side by side, one render call a scan", "Gymnasium's SyncVectorEnv of single ones"
PEER = "the same with scipy's map_coordinates"


class ScipyFlying(Flying):
    """As a careful user of scipy would cut the slices: linear, float32, one call a slice."""

    def seen(self) -> NDArray[np.float32]:
        """See `Flying.seen`."""
        (scene,), size = self.scenes, self.size
        volume = scene.volume
        planes = planes_of_poses(volume.to_index, _crossing(self.poses), size)
        low, high = scene.window(self.percentiles)
        grey = Scipy(volume.data)(planes, size)
        grey = np.clip((grey - low) * (1 / (high - low)), 0, 1)
        points = coordinates(planes, size)
        sides = np.array(volume.shape)[:, None, None, None]
        valid = ((points >= -0.5) & (points <= sides - 0.5)).all(axis=0)
        return np.stack([np.where(valid, grey, 0), valid], axis=1)[None].astype(np.float32)


class ScipySlicePlane(SlicePlane):
    """`SlicePlane` over it."""

    def __init__(self, size: int, steps: int, heads: int) -> None:
        super().__init__(size, steps, heads)
        self._flying = ScipyFlying(1, size, steps, (0.5, 99.5))


def actions(number: int) -> NDArray[np.float32]:
    """Of a round: every other goes back what the one before went."""
    drawn = np.random.default_rng(abs(number) // 2).normal(size=(COUNT, 7)) * LIMITS
    return np.float32(drawn if number % 2 == 0 else -drawn)


def table(size: int, heads: int, rounds: int) -> Table:
    """All candidates at a size, over as many heads."""
    words = {"size": size, "heads": heads, "steps": 10**6}
    made = {
        OURS: gymnasium.make_vec(SLICE_PLANE, num_envs=COUNT, **words),
        LOOP: gymnasium.vector.SyncVectorEnv([lambda: SlicePlane(**words)] * COUNT),
        PEER: gymnasium.vector.SyncVectorEnv([lambda: ScipySlicePlane(**words)] * COUNT),
    }
    for env in made.values():
        env.reset(seed=0)
    ways = {name: lambda n, env=env: env.step(actions(n))[0] for name, env in made.items()}
    rows = measure(ways, rounds=rounds, seconds_each=30, reference=OURS)
    for row in rows:
        row.note = f"{1000 * COUNT / row.median_ms:,.0f} steps/s"
    over = "one head" if heads == 1 else f"{heads} heads"
    return Table(f"{COUNT} environments, three slices of {size}^2 each, over {over}", rows, OURS)


def main() -> None:
    """Measure and save."""
    quick = "--quick" in sys.argv
    cases = [(64, 1)] if quick else [(32, 1), (64, 1), (128, 1), (64, 8)]
    tables = [table(size, heads, 6 if quick else 14) for size, heads in cases]
    save("bench_environment", tables, threads=1, gymnasium=gymnasium.__version__)


if __name__ == "__main__":
    main()
