"""One slice that is flown to a plane, as a Gymnasium environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.environments.flying import VIEWS, Flying
from napari_mrissl.environments.scenes import Scene, Scenes, displaced_heads
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation.demonstrations import LIMITS
from napari_mrissl.geometry import Pose

Seen = NDArray[np.float32]
Info = dict[str, Any]


class SlicePlane(gymnasium.Env[Seen, NDArray[np.float32]]):
    """Fly a slice through a scan until it lies in a plane; by default the mid-sagittal one.

    *Observation* (3, 2, N, N) float32: the slice and the two that cross it in its middle, each
    as grey values in [0, 1] and as what lies within the scan. Where the slice is, is not in it.

    *Action* (7) float32: shifts along right, up and normal in fractions of the field of view,
    turns about them in radians, log zoom; as `napari_mrissl.geometry.apply_action` takes it.
    Its shift, its turn and its zoom are each shortened to 3 % of the view, 4 degrees and 5 %.

    *Reward*: by how much the slice came nearer to the plane, 30 mm and 30 degrees being one
    each; their sum is how far it was at the start less how far it is at the end.

    *End*: terminated by standing still for two steps, which says that this is the plane;
    truncated after ``steps``.

    ``info`` has ``pose`` (8, in the order of `POSE_COLUMNS`), ``away_mm``, ``away_degrees`` and
    the number of the ``scene``. ``reset`` takes the options ``scene``, a number, and ``pose``,
    eight numbers to begin at.

    Parameters
    ----------
    size
        Pixels N along a side.
    steps
        Most of a flight.
    heads
        Different heads to fly over, drawn by ``seed``; a head is made when it is first needed.
    seed
        Of the heads; `reset` has its own.
    scenes
        What to fly over in place of heads.
    percentiles
        Of a scan's values, that are shown as 0 and 1.
    render_mode
        ``rgb_array``: the three slices side by side; or None.

    Raises
    ------
    MrisslError
        If one of them is not usable.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}  # noqa: RUF012

    def __init__(
        self,
        size: int = 64,
        steps: int = 40,
        heads: int = 16,
        seed: int = 0,
        scenes: Scenes | None = None,
        percentiles: tuple[float, float] = (0.5, 99.5),
        render_mode: str | None = None,
    ) -> None:
        self._flying = Flying(1, size, steps, percentiles)
        self.scenes = scenes_of(scenes, seed, heads)
        self.observation_space, self.action_space = spaces(size)
        self.render_mode = checked_mode(render_mode)

    @property
    def pose(self) -> Pose:
        """Where the slice is."""
        return self._flying.poses[0]

    @property
    def scene(self) -> Scene:
        """What is flown over.

        Raises
        ------
        MrisslError
            Before the first `reset`.
        """
        scene = self._flying.scenes[0]
        if scene is None:
            raise MrisslError("nothing is flown over yet", remedy="reset first")
        return scene

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Seen, Info]:
        """Begin a flight; see `gymnasium.Env.reset`.

        Raises
        ------
        MrisslError
            If an option is not usable.
        """
        super().reset(seed=seed)
        begin(self._flying, 0, self.scenes, self.np_random, options or {})
        return self._flying.seen()[0], self._info()

    def step(self, action: ArrayLike) -> tuple[Seen, float, bool, bool, Info]:
        """Move the slice; see `gymnasium.Env.step`.

        Raises
        ------
        MrisslError
            If the action is not seven finite numbers.
        """
        done = self._flying.step(rows_of(action, 1), np.ones(1, bool))
        return (
            self._flying.seen()[0],
            float(done.rewards[0]),
            bool(done.terminated[0]),
            bool(done.truncated[0]),
            self._info(),
        )

    def render(self) -> NDArray[np.uint8] | None:
        """The three slices side by side (N, 3 N, 3), where the mode is ``rgb_array``."""
        if self.render_mode is None:
            return None
        return picture(self._flying.seen()[0])

    def _info(self) -> Info:
        pose, *numbers = (values[0] for values in told(self._flying).values())
        names = ("away_mm", "away_degrees", "scene")
        return {"pose": pose, **{n: v.item() for n, v in zip(names, numbers, strict=True)}}


def scenes_of(scenes: Scenes | None, seed: int, heads: int) -> Scenes:
    """Scenes that were given, or heads.

    Raises
    ------
    MrisslError
        If there is none.
    """
    found = displaced_heads(seed, heads) if scenes is None else scenes
    if not len(found):
        raise MrisslError("no scene to fly over", expected="one or more")
    return found


def spaces(size: int) -> tuple[gymnasium.spaces.Box, gymnasium.spaces.Box]:
    """What is observed, and how it can be acted."""
    limits = LIMITS.astype(np.float32)
    return (
        gymnasium.spaces.Box(0.0, 1.0, (VIEWS, 2, size, size), np.float32),
        gymnasium.spaces.Box(-limits, limits, dtype=np.float32),
    )


def checked_mode(mode: str | None) -> str | None:
    """A mode of rendering.

    Raises
    ------
    MrisslError
        If there is no such.
    """
    if mode not in (None, "rgb_array"):
        raise MrisslError(f"render mode {mode!r}", expected="rgb_array or None")
    return mode


def begin(
    flying: Flying,
    which: int,
    scenes: Scenes,
    rng: np.random.Generator,
    options: Mapping[str, Any],
) -> None:
    """Begin the flight of one slice, over a scene that is drawn where none is asked for.

    Raises
    ------
    MrisslError
        If an option is not usable.
    """
    number = options.get("scene")
    if number is None:
        number = int(rng.integers(len(scenes)))
    if not isinstance(number, int | np.integer) or not 0 <= number < len(scenes):
        raise MrisslError(f"scene {number!r}", expected=f"0 to {len(scenes) - 1}")
    row = options.get("pose")
    start = None if row is None else Pose.from_row(row)
    flying.begin(which, int(number), scenes[int(number)](), start)


def rows_of(actions: ArrayLike, count: int) -> NDArray[np.float64]:
    """Actions as (count, 7) finite numbers.

    Raises
    ------
    MrisslError
        If they are not.
    """
    found = np.asarray(actions, np.float64)
    if found.size != 7 * count or found.shape[-1] != 7 or not np.isfinite(found).all():
        raise MrisslError(
            f"action of shape {found.shape} or not finite", expected="seven finite numbers"
        )
    return found.reshape(count, 7)


def told(flying: Flying) -> dict[str, NDArray[Any]]:
    """What is told beside the slices, one row for each."""
    mm, degrees = flying.apart()
    return {
        "pose": flying.poses.rows,
        "away_mm": mm,
        "away_degrees": degrees,
        "scene": flying.numbers.copy(),
    }


def picture(seen: Seen) -> NDArray[np.uint8]:
    """Slices (3, 2, N, N) side by side in 8 bits, (N, 3 N, 3)."""
    grey = np.rint(255 * np.concatenate(list(seen[:, 0]), axis=1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
