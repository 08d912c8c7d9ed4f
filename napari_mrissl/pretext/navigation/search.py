"""Finding a slice by what it looks like to a network: actions that imagination says lead there.

The cross-entropy method on the distance of latents, as in DINO-WM (arXiv:2411.04983) and V-JEPA
2-AC (arXiv:2506.09985), here over a few legs of equal actions (inferred). After each plan the
true slice at the place that was reached is looked at, and planning begins anew from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.geometry import Pose, apply_action, apply_affine
from napari_mrissl.pretext.navigation.imagination import Imagination
from napari_mrissl.pretext.navigation.moves import reach_of
from napari_mrissl.pretext.navigation.search_settings import SearchSettings
from napari_mrissl.pretext.subjects import Scan

_ELITES = 0.15
_LEAST_SPREAD = 0.05
_BATCH = 64
_FARTHEST = 1e6


@dataclass(frozen=True, eq=False)
class Found:
    """Where a search ended.

    Attributes
    ----------
    actions
        (K, 7) that lead there from the start.
    poses
        K + 1, the start first.
    distances
        Of latents of the true slice from the goal's, at the start and after each plan that was
        followed; mean absolute, layer-normed.
    """

    actions: NDArray[np.float64]
    poses: tuple[Pose, ...]
    distances: tuple[float, ...]

    @property
    def pose(self) -> Pose:
        """Where it ended."""
        return self.poses[-1]


@torch.no_grad()
def search(
    imagination: Imagination,
    scan: Scan,
    start: Pose,
    goal: NDArray[np.floating],
    settings: SearchSettings | None = None,
    cancelled: IsCancelled | None = None,
    progress: Callable[[float], None] | None = None,
) -> Found:
    """Fly from a pose to the slice of a scan whose latents are closest to those of a goal.

    Parameters
    ----------
    imagination
        Its own flight is left alone.
    scan, start
        Where is searched, and from where.
    goal
        (grid, grid, latent) layer-normed, as `Imagination.encode` gives; of any scan.
    settings
        How; the defaults are for a laptop.

    Raises
    ------
    MrisslError
        If the goal is not of this network.
    Cancelled
        If ``cancelled`` answered True.
    """
    chosen = settings or SearchSettings()
    now, poses, taken = imagination.encode(scan, [start])[0], [start], []
    if now.shape != np.shape(goal):
        raise MrisslError(
            f"a goal of shape {np.shape(goal)}", expected=f"latents of shape {now.shape}"
        )
    rng = np.random.default_rng(chosen.seed)
    distances = [_distance(now, goal)]
    for plan in range(chosen.plans):

        def tell(part: float, plan: int = plan) -> None:
            stop_if(cancelled)
            if progress is not None:
                progress((plan + part) / chosen.plans)

        tell(0.0)
        actions = _plan(imagination, scan, poses[-1], now, goal, chosen, rng, tell)
        ahead = [poses[-1]]
        for action in actions:
            ahead.append(apply_action(ahead[-1], action))
        # Of the true slices along the plan the best one is where the next plan begins.
        seen = imagination.encode(scan, ahead[1:])
        found = [_distance(one, goal) for one in seen]
        best = int(np.argmin(found))
        if found[best] >= distances[-1]:
            # Imagination was wrong; with other random numbers it may be right.
            continue
        now = seen[best]
        poses += ahead[1 : best + 2]
        taken += list(actions[: best + 1])
        distances.append(found[best])
    if progress is not None:
        progress(1.0)
    return Found(np.array(taken, np.float64).reshape(-1, 7), tuple(poses), tuple(distances))


def _plan(
    imagination: Imagination,
    scan: Scan,
    start: Pose,
    latents: NDArray[np.float32],
    goal: NDArray[np.floating],
    settings: SearchSettings,
    rng: np.random.Generator,
    tell: Callable[[float], None],
) -> NDArray[np.float64]:
    """Actions (K, 7) of the plan that ends closest to the goal in imagination."""
    reach = reach_of(imagination.network.settings.flights)
    steps = min(settings.steps, imagination.context)
    legs = min(settings.legs, steps)
    leg_of = np.arange(steps) * legs // steps
    mean, spread = np.zeros((legs, 7)), np.full((legs, 7), 0.6)
    best: tuple[float, NDArray[np.float64]] = (np.inf, np.zeros((1, 7)))
    for number in range(settings.rounds):
        drawn = rng.normal(mean, spread, (settings.candidates, legs, 7)).clip(-1, 1)
        drawn[0] = mean.clip(-1, 1)
        actions = drawn[:, leg_of] * reach
        costs = np.concatenate(
            [
                _costs(imagination, latents, goal, actions[first : first + _BATCH])
                for first in range(0, len(actions), _BATCH)
            ]
        )
        costs += np.stack([_outside(scan, start, one) for one in actions])
        tell((number + 1) / settings.rounds)
        ends = costs.min(axis=1)
        order = np.argsort(ends, kind="stable")[: max(2, round(_ELITES * settings.candidates))]
        if ends[order[0]] < best[0]:
            stop = int(costs[order[0]].argmin()) + 1
            best = float(ends[order[0]]), actions[order[0], :stop]
        mean = drawn[order].mean(axis=0)
        spread = np.maximum(drawn[order].std(axis=0), _LEAST_SPREAD)
    return best[1]


def _costs(
    imagination: Imagination,
    latents: NDArray[np.float32],
    goal: NDArray[np.floating],
    actions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(B, K) distances of imagined latents from the goal, after each of K steps."""
    network = imagination.network
    weight = next(network.parameters())
    told = torch.from_numpy(actions).to(weight)
    wanted = torch.from_numpy(np.asarray(goal, np.float32)).to(weight)
    frame = torch.from_numpy(latents).to(weight)[None, None].expand(len(actions), 1, -1, -1, -1)
    past, found = None, []
    for step in range(actions.shape[1]):
        frame, past = network.imagine(frame, told[:, step : step + 1], past)
        found.append((frame[:, 0] - wanted).abs().mean((1, 2, 3)))
    return torch.stack(found, 1).double().cpu().numpy()


def _outside(scan: Scan, start: Pose, actions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) a forbidding cost from where a flight leaves the scan."""
    volume, pose = scan.volume, start
    cost = np.zeros(len(actions))
    widest = 2 * float(volume.extent.max())
    for number, action in enumerate(actions):
        pose = apply_action(pose, action)
        index = apply_affine(volume.to_index, pose.center)
        inside = (index >= -0.5).all() and (index <= np.array(volume.shape) - 0.5).all()
        if not inside or pose.fov > widest:
            cost[number:] = _FARTHEST
            break
    return cost


def _distance(latents: NDArray[np.floating], goal: NDArray[np.floating]) -> float:
    return float(np.abs(latents - goal).mean(dtype=np.float64))
