"""Flying in imagination: from a true slice on, every next one by the dynamics alone.

For viewers and measurements; torch, but no Qt. Poses, true slices and errors are for comparison:
the network is given the first slices and actions, and nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry import Pose, apply_action
from napari_mrissl.networks.slice_dynamics import Past
from napari_mrissl.pretext.navigation.dynamics_network import DynamicsNetwork
from napari_mrissl.pretext.navigation.flights import actions_of, cut
from napari_mrissl.pretext.navigation.settings import DYNAMICS, DynamicsSettings
from napari_mrissl.pretext.opening import file_of, opened
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.volumes import Volume

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Imagined:
    """One frame of an imagined flight.

    Attributes
    ----------
    image
        (N, N) float32 in [0, 1]: the tokenizer's picture of the latents.
    latents
        (grid, grid, latent) float32, layer-normed.
    pose
        Where it would be.
    imagined
        Whether it was predicted; the first frames are true ones.
    """

    image: NDArray[np.float32]
    latents: NDArray[np.float32]
    pose: Pose
    imagined: bool


@dataclass(frozen=True, eq=False)
class _Moment:
    """All that a step changes; nothing in it is ever changed in place, so it can be shared."""

    latents: tuple[torch.Tensor, ...]
    actions: tuple[torch.Tensor, ...]
    past: Past | None
    frame: Imagined


class Imagination:
    """A network of the method ``dynamics`` as somebody flies it.

    Parameters
    ----------
    network
        The network, in evaluation mode.
    limits
        Gives the values of a volume that are 0 and 1 to the network.
    """

    def __init__(self, network: DynamicsNetwork, limits: Limits) -> None:
        self.network = network.eval()
        self._limits = limits
        self._scan: Scan | None = None
        self._moments: tuple[_Moment, ...] = ()

    @classmethod
    def open(cls, run_or_weights: str | Path, device: str = "cpu") -> Imagination:
        """The newest weights of a run, or weights from a file.

        Raises
        ------
        MrisslError
            If they cannot be read, or are of another method.
        """
        _, network, card = opened(
            run_or_weights, DYNAMICS, DynamicsSettings, DynamicsNetwork, device
        )
        return cls(network, Limits.of_card(card, file_of(run_or_weights)))

    @property
    def size(self) -> int:
        """Pixels along a side of a slice."""
        return self.network.settings.backbone.size

    @property
    def context(self) -> int:
        """The most frames that a prediction looks back on."""
        return self.network.settings.looks_back

    @property
    def frames(self) -> tuple[Imagined, ...]:
        """The flight so far, the frames it began from among them."""
        return tuple(moment.frame for moment in self._moments)

    @property
    def frame(self) -> Imagined:
        """The newest frame.

        Raises
        ------
        MrisslError
            If no flight was begun.
        """
        return self._now().frame

    def scan(self, volume: Volume) -> Scan:
        """A volume with the values that are 0 and 1 to the network."""
        low, high = self._limits.of(volume)
        return Scan(volume, low, high, volume.name, volume.identity)

    def begin(self, volume: Volume | Scan, poses: Pose | Sequence[Pose]) -> Imagined:
        """Begin a flight from true slices: one, or the last of several with those before.

        Raises
        ------
        MrisslError
            If there is no pose.
        """
        several = (poses,) if isinstance(poses, Pose) else tuple(poses)
        if not several:
            raise MrisslError("no pose to begin from")
        several = several[-self.context :]
        self._scan = self.scan(volume) if isinstance(volume, Volume) else volume
        latents = self.latents_of(self._scan, several)
        actions = actions_of(several)
        moments: list[_Moment] = []
        for number, pose in enumerate(several):
            known = tuple(latents[: number + 1])
            done = tuple(self._tensor(action) for action in actions[:number])
            shown = Imagined(self._picture(known[-1]), _array(known[-1]), pose, imagined=False)
            moments.append(_Moment(known, done, None, shown))
        if len(several) > 1:
            _, past = self._ahead(latents[:-1], torch.stack(moments[-1].actions), None)
            moments[-1] = replace(moments[-1], past=past)
        self._moments = tuple(moments)
        return self.frame

    def step(self, action: ArrayLike) -> Imagined:
        """The frame that an action (7,) leads to, as the network imagines it.

        Raises
        ------
        MrisslError
            If no flight was begun, or the action is none.
        """
        now = self._now()
        pose = apply_action(now.frame.pose, action)
        taken = self._tensor(np.asarray(action, np.float64))
        past, latents, actions = now.past, now.latents, now.actions
        if past is not None and past.frames + 1 > self.context:
            past = None
        if past is None and len(latents) > 1:
            # Half of the context is forgotten at once, so that not every step begins anew.
            kept = min(len(latents), max(1, self.context // 2))
            latents, actions = latents[-kept:], actions[len(actions) - kept + 1 :]
            if kept > 1:
                _, past = self._ahead(torch.stack(latents[:-1]), torch.stack(actions), None)
        found, past = self._ahead(latents[-1][None], taken[None], past)
        shown = Imagined(self._picture(found[-1]), _array(found[-1]), pose, imagined=True)
        moment = _Moment((*latents, found[-1]), (*actions, taken), past, shown)
        self._moments = (*self._moments, moment)
        return shown

    def back(self) -> Imagined:
        """Undo the last step; the frames that a flight began from stay.

        Raises
        ------
        MrisslError
            If there is no step to undo.
        """
        if not self._now().frame.imagined:
            raise MrisslError("no step to undo")
        self._moments = self._moments[:-1]
        return self.frame

    def fork(self) -> Imagination:
        """Another flight from here, which knows the same network and leaves this one alone."""
        return copy.copy(self)

    def encode(self, volume: Volume | Scan, poses: Sequence[Pose]) -> NDArray[np.float32]:
        """Layer-normed latents (K, grid, grid, latent) of true slices."""
        scan = self.scan(volume) if isinstance(volume, Volume) else volume
        return _array(self.latents_of(scan, tuple(poses)))

    def decode(self, latents: NDArray[np.floating]) -> NDArray[np.float32]:
        """Grey values (K, N, N) in [0, 1] of latents (K, grid, grid, latent)."""
        with torch.no_grad():
            found = self.network.backbone.decode(self._tensor(latents))
        return _array(found.clamp(0, 1))

    def true_frame(self, pose: Pose | None = None) -> NDArray[np.float32]:
        """The slice (N, N) that the scan really has at a pose, that of the newest frame first.

        Raises
        ------
        MrisslError
            If no flight was begun.
        """
        shown = self.frame.pose if pose is None else pose
        assert self._scan is not None  # noqa: S101 - there is a frame
        frame: NDArray[np.float32] = cut(self._scan, (shown,), self.size)[0][0]
        return frame

    def latent_error(self) -> float:
        """Mean absolute difference of the newest frame's latents from those of the true slice.

        Raises
        ------
        MrisslError
            If no flight was begun.
        """
        frame = self.frame
        assert self._scan is not None  # noqa: S101 - there is a frame
        true = self.encode(self._scan, [frame.pose])[0]
        return float(np.abs(frame.latents - true).mean(dtype=np.float64))

    @torch.no_grad()
    def latents_of(self, scan: Scan, poses: tuple[Pose, ...]) -> torch.Tensor:
        """As `encode`, on the device."""
        found = []
        for first in range(0, len(poses), _BATCH):
            grey, valid = cut(scan, poses[first : first + _BATCH], self.size)
            image = self._tensor(np.stack([grey, valid], axis=1))
            found.append(self.network.latents(image[None])[0])
        return torch.cat(found)

    @torch.no_grad()
    def _ahead(
        self, latents: torch.Tensor, actions: torch.Tensor, past: Past | None
    ) -> tuple[torch.Tensor, Past]:
        found, after = self.network.imagine(latents[None], actions[None], past)
        return found[0], after

    def _picture(self, latents: torch.Tensor) -> NDArray[np.float32]:
        with torch.no_grad():
            picture = self.network.backbone.decode(latents[None])[0]
        return _array(picture.clamp(0, 1))

    def _tensor(self, numbers: NDArray[Any]) -> torch.Tensor:
        device = next(self.network.parameters()).device
        return torch.from_numpy(np.asarray(numbers, np.float32)).to(device)

    def _now(self) -> _Moment:
        if not self._moments:
            raise MrisslError("no flight was begun", expected="begin(volume, pose) first")
        return self._moments[-1]


@dataclass(frozen=True)
class Limits:
    """How a network's scans are brought to [0, 1].

    Attributes
    ----------
    window
        Whether low and high are values; else they are percentiles of each scan.
    low, high
        What becomes 0 and 1.
    """

    window: bool
    low: float
    high: float

    @classmethod
    def of_card(cls, card: Mapping[str, Any], path: Path) -> Limits:
        """As the card of weights says.

        Raises
        ------
        MrisslError
            If it does not.
        """
        said = card.get("preprocessing")
        refused = MrisslError("weights do not say how scans are prepared", where=path)
        if not isinstance(said, Mapping):
            raise refused
        try:
            low, high = float(said["low"]), float(said["high"])
        except (KeyError, TypeError, ValueError) as error:
            raise refused from error
        kind = said.get("kind")
        usable = kind == "window" or (kind == "percentile" and low >= 0 and high <= 100)
        if not (usable and low < high):
            raise refused
        return cls(kind == "window", low, high)

    def of(self, volume: Volume) -> tuple[float, float]:
        """The values of a volume that become 0 and 1."""
        return (self.low, self.high) if self.window else volume.value_range(self.low, self.high)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
