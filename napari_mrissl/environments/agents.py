"""Agents to begin with: one that knows nothing, one that knows the way, one that has learned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.evaluation.navigation.demonstrations import LIMITS, clipped
from napari_mrissl.geometry import Pose, relative_action

if TYPE_CHECKING:
    from napari_mrissl.environments.slice_plane import SlicePlane
    from napari_mrissl.trajectories import Flight

Agent = Callable[[NDArray[np.float32], Mapping[str, Any]], NDArray[np.float64]]
"""From what is seen (3, 2, N, N) and the environment's ``info`` to an action (7)."""


class Flown(Protocol):
    """An environment, or one that wraps it."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """See `gymnasium.Env.reset`."""
        ...

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """See `gymnasium.Env.step`."""
        ...


@dataclass(frozen=True, eq=False)
class Outcome:
    """A flight that has ended.

    Attributes
    ----------
    scene
        Number of the scene.
    reward
        Sum over the flight.
    away_mm, away_degrees
        From the plane, at the end.
    there
        Whether it was the agent that ended it.
    rows
        (T, 8) poses in the order of `POSE_COLUMNS`.
    """

    scene: int
    reward: float
    away_mm: float
    away_degrees: float
    there: bool
    rows: NDArray[np.float64]

    def flight(self, environment: SlicePlane, hertz: float = 8.0, **info: Any) -> Flight:
        """The flight, to be stored in a dataset or exported.

        Parameters
        ----------
        environment
            In which it was flown.
        hertz
            Frames a second.
        """
        from napari_mrissl.trajectories import flight_of

        volume = environment.scenes[self.scene]().volume
        return flight_of(volume, [Pose.from_row(row) for row in self.rows], hertz, **info)


def at_random(seed: int) -> Agent:
    """Draws every action evenly within the limits."""
    rng = np.random.default_rng(seed)

    def act(seen: NDArray[np.float32], info: Mapping[str, Any]) -> NDArray[np.float64]:
        drawn: NDArray[np.float64] = rng.uniform(-LIMITS, LIMITS)
        return drawn

    return act


def knowing(environment: SlicePlane) -> Agent:
    """Is told where the plane is, and flies there as fast as it may."""

    def act(seen: NDArray[np.float32], info: Mapping[str, Any]) -> NDArray[np.float64]:
        return clipped(relative_action(Pose.from_row(info["pose"]), environment.scene.target))

    return act


def learned(folder: str | Path, weights: str | Path) -> tuple[Agent, dict[str, Any]]:
    """The policy that `mrissl benchmark plane` has learned; imports torch.

    Parameters
    ----------
    folder
        Of the benchmark.
    weights
        The run, or its weights, with which it was made.

    Returns
    -------
    agent, parameters
        What acts, and the parameters ``size`` and ``percentiles`` of the environment in which
        it sees what it has learned from.

    Raises
    ------
    MrisslError
        If there is no policy, or it reads features of other weights.
    """
    from napari_mrissl.evaluation.navigation import cloning
    from napari_mrissl.evaluation.navigation.encoders import NetworkEncoder
    from napari_mrissl.evaluation.navigation.plane_benchmark import POLICY_FILE
    from napari_mrissl.evaluation.weights import weights_of
    from napari_mrissl.networks.slice_encoder import SliceEncoder
    from napari_mrissl.networks.weights import load

    file = weights_of(weights)
    state, card = load(file)
    encoder = NetworkEncoder(SliceEncoder.of(state, card))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    answer = cloning.answer(cloning.load(Path(folder) / POLICY_FILE, digest), encoder)
    prepared = card["preprocessing"]
    parameters = {
        "size": encoder.network.shape.size,
        "percentiles": (float(prepared["low"]), float(prepared["high"])),
    }
    return lambda seen, info: answer(seen), parameters


def fly(environment: Flown, agent: Agent, seed: int | None = None, **options: ArrayLike) -> Outcome:
    """One flight from its beginning to its end.

    Parameters
    ----------
    environment
        A `SlicePlane`, or one that wraps it.
    agent
        Says what to do.
    seed, options
        Go to ``reset``.
    """
    seen, info = environment.reset(seed=seed, options=dict(options))
    rows, total, terminated, truncated = [info["pose"]], 0.0, False, False
    while not (terminated or truncated):
        action = np.asarray(agent(seen, info), np.float32)
        seen, reward, terminated, truncated, info = environment.step(action)
        rows.append(info["pose"])
        total += float(reward)
    return Outcome(
        info["scene"], total, info["away_mm"], info["away_degrees"], terminated, np.array(rows)
    )
