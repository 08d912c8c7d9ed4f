"""A policy cloned from recorded flights: features of a frozen network to the next action.

Behaviour cloning by a small network on pooled features of the slice in view and the two that
cross it in its middle, as a viewer with three views shows them: a slice beside the middle of a
head looks like its mirror image on the other side, and does not tell which way to go. It never
learns where in the world it is. Inferred: no paper is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_mrissl import __version__
from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation.demonstrations import LIMITS, STILL, clipped
from napari_mrissl.evaluation.navigation.encoders import Encoder
from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.networks import weights

METHOD = "plane_policy"
WIDTH = 256

_RATE, _DECAY, _BATCH = 1e-3, 1e-3, 256

See = Callable[[Pose], NDArray[np.float32]]
"""The slices (3, 2, N, N) at a pose and across it, see `crossing`."""

_QUARTERS = ((0.0, 0.0, 0.0), (np.pi / 2, 0.0, 0.0), (0.0, np.pi / 2, 0.0))


class Policy(nn.Module):
    """Features of what is seen (B, D) to actions (B, 7), each number within its limit.

    Parameters
    ----------
    features
        D.
    width
        Of its two hidden layers.
    """

    def __init__(self, features: int, width: int = WIDTH) -> None:
        super().__init__()
        self.features, self.width = features, width
        self.center: torch.Tensor
        self.spread: torch.Tensor
        self.limits: torch.Tensor
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("limits", torch.from_numpy(LIMITS.astype(np.float32)))
        self.layers = nn.Sequential(
            nn.Linear(features, width), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, 7),
        )  # fmt: skip

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Actions."""
        found: torch.Tensor = self.layers((rows - self.center) / self.spread)
        return torch.tanh(found) * self.limits


def cloned(
    rows: NDArray[np.floating],
    actions: NDArray[np.floating],
    steps: int = 2000,
    seed: int = 0,
    progress: Callable[[float], object] = lambda part: None,
) -> Policy:
    """A policy that answers rows (n, D) with actions (n, 7); torch's own draws are left alone.

    Raises
    ------
    MrisslError
        If there are none.
    """
    if not len(rows):
        raise MrisslError("no frame to learn from", where="demonstrations")
    x = torch.from_numpy(np.asarray(rows, np.float32))
    y = torch.from_numpy(np.asarray(actions, np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        policy = Policy(x.shape[1])
        policy.center.copy_(x.mean(dim=0))
        policy.spread.copy_(x.std(dim=0, correction=0).clamp(min=1e-6))
        optimiser = torch.optim.AdamW(policy.parameters(), lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        policy.train()
        for step in range(steps):
            some = torch.randint(len(x), (min(_BATCH, len(x)),))
            loss = ((policy(x[some]) - y[some]) / policy.limits).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress((step + 1) / steps)
    return policy.eval().requires_grad_(requires_grad=False)


def crossing(pose: Pose) -> tuple[Pose, ...]:
    """A pose, and it turned by a quarter about its own right and about its own up."""
    return tuple(apply_action(pose, (0, 0, 0, *turn, 0)) for turn in _QUARTERS)


def row_of(encoder: Encoder, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (n, D) of n times three slices (n, 3, 2, N, N), side by side."""
    pooled = encoder.pooled(images.reshape(-1, *images.shape[2:]))
    return pooled.reshape(len(images), -1)


def flown(
    act: Callable[[NDArray[np.float32]], NDArray[np.floating]], see: See, start: Pose, steps: int
) -> list[Pose]:
    """Poses from a start on, each reached by what an answer to the slice in view says.

    It ends early where two steps in a row hardly move.

    Parameters
    ----------
    act
        From slices (3, 2, N, N) to an action (7,), which is clipped.
    see
        Cuts slices.
    """
    poses, still = [start], 0
    for _ in range(steps):
        action = clipped(act(see(poses[-1])))
        poses.append(apply_action(poses[-1], action))
        still = still + 1 if (np.abs(action) < STILL * LIMITS).all() else 0
        if still == 2:
            break
    return poses


def answer(policy: Policy, encoder: Encoder) -> Callable[[NDArray[np.float32]], Any]:
    """The policy as what `flown` asks."""

    def act(images: NDArray[np.float32]) -> NDArray[np.float64]:
        row = torch.from_numpy(row_of(encoder, images[None]))
        with torch.no_grad():
            found: NDArray[np.float64] = policy(row)[0].double().numpy()
        return found

    return act


def save(path: Path, policy: Policy, encoder: str, facts: dict[str, Any]) -> None:
    """Write a policy's weights and card.

    Parameters
    ----------
    path
        The file.
    policy
        Trained.
    encoder
        SHA-256 of the weights whose features it reads.
    facts
        How it was trained, JSON-ready; no file, no person.

    Raises
    ------
    WriteError
        If the disk refuses.
    """
    card = {
        "method": METHOD,
        "network": {"kind": "mlp", "features": policy.features, "width": policy.width},
        "encoder": encoder,
        "training": facts,
        "software": f"napari-mrissl {__version__}",
    }
    weights.save(path, policy.state_dict(), card)


def load(path: Path, encoder: str | None = None) -> Policy:
    """A policy that `save` wrote.

    Raises
    ------
    MrisslError
        If it is none, or reads features of other weights than those given.
    """
    state, card = weights.load(path)
    network = card.get("network")
    if card.get("method") != METHOD or not isinstance(network, dict):
        raise MrisslError(
            f"weights are of the method {str(card.get('method') or 'none')[:40]}",
            where=path,
            expected="a policy",
        )
    if encoder is not None and card.get("encoder") != encoder:
        raise MrisslError("reads the features of other weights", where=path)
    try:
        policy = Policy(int(network["features"]), int(network["width"]))
        policy.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise MrisslError("weights do not fit what their card says", where=path) from error
    return policy.eval().requires_grad_(requires_grad=False)
