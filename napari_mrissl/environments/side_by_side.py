"""Many slices that are flown at once, as a vectorised Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.environments import slice_plane
from napari_mrissl.environments.flying import Flying
from napari_mrissl.environments.scenes import Scenes
from napari_mrissl.errors import MrisslError

Steps = tuple[
    NDArray[np.float32],
    NDArray[np.float64],
    NDArray[np.bool_],
    NDArray[np.bool_],
    dict[str, Any],
]


class SlicePlanes(
    gymnasium.vector.VectorEnv[NDArray[np.float32], NDArray[np.float32], NDArray[Any]]
):
    """`SlicePlane` as often as wanted; what each sees is cut by one call a scan.

    It gives what `gymnasium.vector.SyncVectorEnv` of single ones gives, in less time. A flight
    that has ended begins anew by the next step, whose action is not heeded (``NEXT_STEP``).

    Parameters
    ----------
    num_envs
        How many.
    **parameters
        Those of `SlicePlane`.

    Raises
    ------
    MrisslError
        If one of them is not usable.
    """

    metadata = {  # noqa: RUF012
        **slice_plane.SlicePlane.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP
    }  # fmt: skip

    def __init__(
        self,
        num_envs: int = 1,
        size: int = 64,
        steps: int = 40,
        heads: int = 16,
        seed: int = 0,
        scenes: Scenes | None = None,
        percentiles: tuple[float, float] = (0.5, 99.5),
        render_mode: str | None = None,
    ) -> None:
        super().__init__()
        self._flying = Flying(num_envs, size, steps, percentiles)
        self.scenes = slice_plane.scenes_of(scenes, seed, heads)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = slice_plane.spaces(size)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.render_mode = slice_plane.checked_mode(render_mode)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin all flights; see `gymnasium.vector.VectorEnv.reset`.

        Raises
        ------
        MrisslError
            If there are not as many seeds, or an option is not usable.
        """
        seeds = [seed + n for n in range(self.num_envs)] if isinstance(seed, int) else seed
        if seeds is None:
            seeds = [None] * self.num_envs
        if len(seeds) != self.num_envs:
            raise MrisslError(f"{len(seeds)} seeds", expected=f"{self.num_envs}")
        for number, one in enumerate(seeds):
            if one is not None:
                self._generators[number] = seeding.np_random(one)[0]
            self._begin(number, options or {})
        self._ended[:] = False
        return self._flying.seen(), self._infos()

    def step(self, actions: ArrayLike) -> Steps:
        """Move all slices; see `gymnasium.vector.VectorEnv.step`.

        Raises
        ------
        MrisslError
            If actions are not seven finite numbers for each.
        """
        moving = ~self._ended
        done = self._flying.step(slice_plane.rows_of(actions, self.num_envs), moving)
        for number in np.flatnonzero(self._ended):
            self._begin(int(number), {})
        self._ended = done.terminated | done.truncated
        infos = self._infos()
        return self._flying.seen(), done.rewards, done.terminated, done.truncated, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """The three slices of each side by side, where the mode is ``rgb_array``."""
        if self.render_mode is None:
            return None
        return tuple(slice_plane.picture(one) for one in self._flying.seen())

    def _begin(self, number: int, options: Mapping[str, Any]) -> None:
        rng = self._generators[number]
        if rng is None:
            rng = self._generators[number] = seeding.np_random()[0]
        slice_plane.begin(self._flying, number, self.scenes, rng, options)

    def _infos(self) -> dict[str, Any]:
        """Rows, and beside each which of them are told: all."""
        found: dict[str, Any] = {}
        for name, values in slice_plane.told(self._flying).items():
            found[name] = values
            found[f"_{name}"] = np.ones(self.num_envs, bool)
        return found
