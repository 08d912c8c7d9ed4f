"""An imagined flight as the panel's jobs fly it; torch comes with the network alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.features.cancel import stop_if
from napari_mrissl.geometry import Pose, relative_action
from napari_mrissl.pretext.navigation.flights import Flights
from napari_mrissl.pretext.navigation.moves import effort, next_pose, reach_of, within
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.ui.jobs import Control

if TYPE_CHECKING:
    from napari_mrissl.pretext.navigation.imagination import Imagination
    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe

OTHERS = ZERO, SHUFFLED = "zero", "shuffled"
"""Actions that the network is given in place of the true one, from the same context: none, and
that of another flight of the kinds it was trained on."""

LEAST_PART = 0.25
"""A move smaller than this part of a step waits for more, or for the hand to rest."""

NEAR = 1e-6
"""A move smaller than this part of a step is none."""

_MOST_STEPS = 64
_SEED = 0
_MEMORY = 256e6


class Target:
    """Where the hand is now; the job looks here before each step, so that none is queued.

    Attributes
    ----------
    pose
        The newest wanted.
    settled
        Whether the hand rests: then small moves are flown as well.
    """

    def __init__(self, pose: Pose) -> None:
        self.pose = pose
        self.settled = False


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """What the network imagines when it is told another action.

    Attributes
    ----------
    image
        (N, N) in [0, 1].
    latent_error
        From the latents of the true slice.
    """

    image: NDArray[np.float32]
    latent_error: float


@dataclass(frozen=True, eq=False)
class Moment:
    """One frame of an imagined flight, beside the truth.

    Attributes
    ----------
    pose
        Where it would be, on the side from which the network sees it.
    imagined, true
        (N, N) in [0, 1].
    latent_error, kept_error
        Mean absolute difference of layer-normed latents from those of the true slice: of the
        imagined ones, and of those that the flight began with.
    others
        By the name of the other action.
    milliseconds
        Of the step alone: dynamics and decoder; of the first frame, the encoder.
    read
        The pose that a probe reads from the latents.
    """

    pose: Pose
    imagined: NDArray[np.float32]
    true: NDArray[np.float32]
    latent_error: float
    kept_error: float
    milliseconds: float
    others: dict[str, Counterfactual] = field(default_factory=dict)
    read: Pose | None = None


@dataclass(frozen=True, eq=False)
class Flight:
    """An imagined flight; never changed in place.

    Attributes
    ----------
    mind
        Nobody else steps it.
    scan
        That is imagined.
    moments
        The true slice first.
    flights
        Where the actions of other flights come from.
    """

    mind: Imagination
    scan: Scan
    moments: tuple[Moment, ...]
    flights: Flights

    @property
    def now(self) -> Moment:
        """The newest."""
        return self.moments[-1]

    @property
    def steps(self) -> int:
        """How many were imagined."""
        return len(self.moments) - 1

    @property
    def full(self) -> bool:
        """Whether it is so long that it has to begin anew from a true slice."""
        return self.steps >= most_steps(self.mind)

    def back(self) -> Flight:
        """Without the last step.

        Raises
        ------
        MrisslError
            If there is none.
        """
        mind = self.mind.fork()
        mind.back()
        return replace(self, mind=mind, moments=self.moments[:-1])

    def shuffled(self) -> NDArray[np.float64]:
        """An action (7,) of another flight over the scan; the same each time at this step.

        No longer than a step of this flight, so that it is one of those the network knows.
        """
        return within(self.flights.action(self.scan, (_SEED, self.steps)), self.reach)

    @property
    def reach(self) -> NDArray[np.float64]:
        """See `reach_of`."""
        return reach_of(self.flights.settings)


def most_steps(mind: Imagination) -> int:
    """How many steps can be undone within a bounded memory: each keeps what it looked back on."""
    settings = mind.network.settings
    tokens = mind.context * (settings.backbone.grid**2 + 1)
    each = 8 * tokens * settings.dynamics.width * settings.dynamics.depth
    return int(np.clip(_MEMORY / each, 16, _MOST_STEPS))


def begin(
    control: Control, mind: Imagination, scan: Scan, pose: Pose, probe: PoseProbe | None
) -> Flight:
    """A flight that begins with the true slice at a pose."""
    stop_if(control.cancelled)
    own = mind.fork()
    started = time.perf_counter()
    shown = own.begin(scan, pose)
    spent = 1e3 * (time.perf_counter() - started)
    read = None if probe is None else probe.read(shown.latents)
    first = Moment(pose, shown.image, own.true_frame(), 0.0, 0.0, spent, read=read)
    return Flight(own, scan, (first,), Flights(mind.network.settings.flights))


def fly(
    control: Control, flight: Flight, target: Target, others: tuple[str, ...],
    probe: PoseProbe | None,
) -> Flight:  # fmt: skip
    """Step towards a target that may move meanwhile; every frame is sent at once.

    Ends when the target is reached, or the rest is too small a move, or the flight is full.
    """
    reach = flight.reach
    while not flight.full:
        stop_if(control.cancelled)
        now, wanted = flight.now.pose, target.pose
        whole = effort(now, wanted, reach)
        if whole < (NEAR if target.settled else LEAST_PART):
            break
        flight = step(flight, next_pose(now, wanted, reach), others, probe)
        control.send(flight)
    return flight


def step(
    flight: Flight, following: Pose, others: tuple[str, ...] = (), probe: PoseProbe | None = None
) -> Flight:
    """One imagined step to a pose."""
    mind = flight.mind.fork()
    action = relative_action(flight.now.pose, following)
    started = time.perf_counter()
    shown = mind.step(action)
    spent = 1e3 * (time.perf_counter() - started)
    true = mind.encode(flight.scan, [shown.pose])[0]
    found = {}
    for name in others:
        fork = flight.mind.fork()
        other = fork.step(np.zeros(7) if name == ZERO else flight.shuffled())
        found[name] = Counterfactual(other.image, _away(other.latents, true))
    moment = Moment(
        following,
        shown.image,
        mind.true_frame(),
        _away(shown.latents, true),
        _away(mind.frames[0].latents, true),
        spent,
        found,
        None if probe is None else probe.read(shown.latents),
    )
    return replace(flight, mind=mind, moments=(*flight.moments, moment))


def read_again(flight: Flight, probe: PoseProbe) -> Flight:
    """The same flight, with the pose that a probe reads from its newest frame."""
    now = replace(flight.now, read=probe.read(flight.mind.frame.latents))
    return replace(flight, moments=(*flight.moments[:-1], now))


def _away(latents: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    return float(np.abs(latents - true).mean(dtype=np.float64))
