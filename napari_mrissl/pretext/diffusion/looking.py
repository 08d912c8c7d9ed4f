"""What the inspector shows of one patch: behind its noise, on its way out of noise, and inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.pretext.diffusion.inspection import Inspector, Patches
from napari_mrissl.pretext.diffusion.sampling import State, ddim, estimates, guided
from napari_mrissl.pretext.observable.views import Views, cut, extent_mm
from napari_mrissl.pretext.subjects import Scan

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Progress = Callable[[float], object]
"""Is told the share that is done; what it raises ends the work."""

TOGETHER = 4
"""Patches that are drawn at a time: one is looked at, another's coordinates are told it."""

_CLIP = 1.0
_SHOWN = (1.0, 99.0)


@dataclass(frozen=True, eq=False)
class Look:
    """A patch with the noise of a step, and what is seen behind it.

    Attributes
    ----------
    step
        Of the noise.
    ratio_db
        Its signal-to-noise ratio, of patches with a variance of 1.
    clean, noisy, seen
        (Z, Y, X), where 0 to 1 is the range of clean patches.
    noise, said
        (Z, Y, X) the noise with a variance of 1, and what the network takes for it.
    loss
        Mean squared error of what the network predicts, noise or velocity.
    """

    step: int
    ratio_db: float
    clean: Singles
    noisy: Singles
    seen: Singles
    noise: Singles
    said: Singles
    loss: float

    @property
    def error(self) -> Singles:
        """(Z, Y, X) how much brighter what is seen is than the patch."""
        return self.seen - self.clean


def patches_at(
    inspector: Inspector, scan: Scan, seed: int, center_mm: ArrayLike | None = None
) -> Patches:
    """Some patches of a scan with noise; the first one about a point in scan mm, if given.

    It is moved into the scan where it would go beyond.
    """
    drawn = inspector.draw(scan, TOGETHER, seed)
    if center_mm is None:
        return drawn
    first = drawn.views[0]
    room = np.maximum(extent_mm(scan.volume) - first.edges_mm, 0) / 2
    center = np.clip(np.asarray(center_mm, np.float64), -room, room)
    views = replace(first, centers_mm=center[None])
    clean = torch.from_numpy(2 * cut(scan, views)[None] - 1).to(drawn.clean)
    where = None
    if drawn.where is not None:
        found = inspector.network.where(clean)
        assert found is not None  # noqa: S101 - others have coordinates
        where = torch.cat([found, drawn.where[1:]])
    cleans = torch.cat([clean, drawn.clean[1:]])
    return Patches((views, *drawn.views[1:]), cleans, drawn.noise, where)


def look(inspector: Inspector, patches: Patches, step: int, guide: str) -> Look:
    """Put the noise of a step on the first patch, and ask what is behind it."""
    a, s = float(inspector.schedule.signal[step]), float(inspector.schedule.noise[step])
    clean, noise = patches.clean[:1], patches.noise[:1]
    noisy = a * clean + s * noise
    answer = guided(inspector.network, _told(inspector, patches, guide))(noisy, step)
    prediction = inspector.settings.prediction
    seen, said = estimates(answer, noisy, a, s, prediction)
    wanted = noise if prediction == "epsilon" else a * noise - s * clean
    ratio = float(inspector.schedule.snr_db[step])
    loss = float((answer - wanted).square().mean())
    return Look(
        step,
        ratio,
        _grey(clean),
        _grey(noisy),
        _grey(seen.clamp(-_CLIP, _CLIP)),
        _plain(noise),
        _plain(said),
        loss,
    )


def walk(
    inspector: Inspector,
    patches: Patches,
    guide: str,
    count: int,
    strength: float = 1.0,
    progress: Progress | None = None,
) -> tuple[State, ...]:
    """Draw the first patch out of its noise by DDIM in so many steps, all states of it.

    Raises
    ------
    MrisslError
        If there are not so many steps.
    """
    predict = guided(inspector.network, _told(inspector, patches, guide), strength)
    states = []
    prediction, start = inspector.settings.prediction, patches.noise[:1]
    for state in ddim(predict, inspector.schedule, prediction, start, count, clip=_CLIP):
        states.append(state)
        if progress is not None:
            progress(len(states) / count)
    return tuple(states)


def strip(patches: Patches, states: tuple[State, ...]) -> Singles:
    """(T, Z, Y, X) the first patch from its noise to the end, 0 to 1 as clean patches are."""
    first = _grey(patches.noise[:1])
    return np.stack([first, *(_grey(one.noisy) for one in states)])


def colours(inspector: Inspector, patches: Patches, step: int, level: int) -> NDArray[np.uint8]:
    """(z, y, x, 3) principal components of a map of the decoder, for the first patch with noise.

    Parameters
    ----------
    inspector, patches
        The network, and what it is shown.
    step
        Of the noise.
    level
        Of the decoder, from 0, the deepest.
    """
    a, s = float(inspector.schedule.signal[step]), float(inspector.schedule.noise[step])
    noisy = a * patches.clean[:1] + s * patches.noise[:1]
    steps = torch.full((1,), step, device=noisy.device)
    with torch.no_grad():
        where = None if patches.where is None else patches.where[:1]
        maps = inspector.network.denoised(noisy, steps, where).decoder[level][0]
    shape = maps.shape[1:]
    flat = maps.flatten(1).double().cpu().numpy()
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(flat.std(axis=1, keepdims=True), 1e-9)
    _, axes = np.linalg.eigh(flat @ flat.T)
    parts = axes[:, :-4:-1].T @ flat
    low, high = np.percentile(parts, _SHOWN, axis=1, keepdims=True)
    shown = np.clip((parts - low) / np.maximum(high - low, 1e-9), 0, 1)
    found: NDArray[np.uint8] = np.rint(255 * shown.T).astype(np.uint8).reshape(*shape, 3)
    return found


def affine_of(views: Views, shape: tuple[int, int, int]) -> Floats:
    """(4, 4) from index of an array (S, A, R) that fills the first view to world RAS mm."""
    lower, upper = (one[0] for one in views.boxes())
    size = (upper - lower) / np.array(shape)
    to_index = np.diag([*size, 1.0])
    to_index[:3, 3] = lower + size / 2
    found: Floats = views.affine @ to_index
    return found


def _told(inspector: Inspector, patches: Patches, guide: str) -> torch.Tensor | None:
    found = inspector.told(patches, guide)
    return None if found is None else found[:1]


def _grey(patch: torch.Tensor) -> Singles:
    return _plain((patch + 1) / 2)


def _plain(patch: torch.Tensor) -> Singles:
    found: Singles = patch[0, 0].detach().float().cpu().numpy()
    return found
