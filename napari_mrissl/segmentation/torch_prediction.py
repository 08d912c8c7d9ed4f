"""The pass of a network over an image: mirrored copies, a sliding window, blended probabilities."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from monai.inferers.utils import sliding_window_inference
from numpy.typing import NDArray
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from napari_mrissl.errors import MrisslError
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if

if TYPE_CHECKING:
    from napari_mrissl.segmentation.prediction import PredictionSettings, Segmenter

Shape = tuple[int, int, int]

LEFT_RIGHT = 2
"""The axis of (S, A, R) along which nothing is mirrored unless all flips are asked for."""

_SHARE = 0.7
"""How much of the memory that is free a pass may take."""

_WORKSPACE = 2.0
"""What convolutions take beside their maps, as a factor."""

_CPU_FULL = "can't allocate memory"

_BY_IMAGE = (nn.GroupNorm, nn.InstanceNorm3d)
"""Layers by which a window's size changes what the network sees in each voxel."""


class NetworkPass:
    """A network on its device.

    Parameters
    ----------
    segmenter
        Whose network is loaded.
    settings
        Flips, window, overlap and device.

    Raises
    ------
    MrisslError
        If the device is not there, or the network cannot be read.
    """

    def __init__(self, segmenter: Segmenter, settings: PredictionSettings) -> None:
        self.device = device_named(settings.device)
        self.network = segmenter.network().to(self.device).eval().requires_grad_(False)
        self.stride = segmenter.stride
        self.least = -(-segmenter.least_side // self.stride) * self.stride
        self.classes = len(segmenter.classes)
        self.settings = settings
        self.copies = mirrored_axes(settings.flips, segmenter.mirrored)
        self._bytes_per_voxel: float | None = None
        by_image = any(isinstance(module, _BY_IMAGE) for module in self.network.modules())
        self.patch = segmenter.patch if by_image and self._fits(segmenter.patch) else None

    def probabilities(
        self, image: NDArray[np.float32], progress: Progress, cancelled: IsCancelled | None
    ) -> NDArray[np.float32]:
        """(K, S, A, R) float32 that sum to 1, of an image (S, A, R) in [0, 1].

        Windows are weighted by a Gaussian of an eighth of their side around their middle, as
        MONAI does; the probabilities (not the logits) of windows and mirrored copies are
        averaged.

        Raises
        ------
        Cancelled
            If `cancelled` answered True, which is asked before each window.
        MrisslError
            If values are not finite, or memory does not suffice.
        """
        sides = self._padded(image.shape)
        margins = [divmod(side - own, 2) for side, own in zip(sides, image.shape, strict=True)]
        self._check_memory(sides)
        # As in training, where crops reach beyond the scan: there is nothing.
        padded = torch.from_numpy(np.pad(image, [(half, half + odd) for half, odd in margins]))
        padded = padded[None, None]
        window = self._window(sides)
        work = (1 + len(self.copies)) * window_count(sides, window, self.settings.overlap)
        done = 0

        def classify(part: torch.Tensor) -> torch.Tensor:
            nonlocal done
            stop_if(cancelled)
            logits = self.network(part)
            done += 1
            progress(min(done / work, 1.0), "network")
            found: torch.Tensor = torch.softmax(logits.float(), dim=1)
            return found

        try:
            with torch.inference_mode():
                total = self._blended(padded, window, classify)
                for axes in self.copies:
                    total += self._blended(padded.flip(axes), window, classify).flip(axes)
                total /= 1 + len(self.copies)
        except RuntimeError as error:
            # Of the CPU's memory torch says so in words only.
            if not isinstance(error, torch.OutOfMemoryError) and _CPU_FULL not in str(error):
                raise
            raise MrisslError(
                "the memory of the device does not suffice",
                where="prediction",
                remedy="give a smaller window, or choose the CPU",
            ) from error
        crop = tuple(slice(h, h + n) for (h, _), n in zip(margins, image.shape, strict=True))
        found = total[0].numpy()[(slice(None), *crop)]
        if not np.isfinite(found).all():
            raise MrisslError(
                "gives values that are not finite", where="network", remedy="train it again"
            )
        return found

    def _blended(
        self, image: torch.Tensor, window: Shape, classify: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        found: Any = sliding_window_inference(
            image,
            window,
            1,
            classify,
            overlap=self.settings.overlap,
            mode="gaussian",
            sw_device=self.device,
            device="cpu",
        )
        result: torch.Tensor = found
        return result

    def _padded(self, shape: tuple[int, ...]) -> Shape:
        least = self.patch or _cube(self.least)
        s, a, r = (
            max(-(-side // self.stride) * self.stride, low)
            for side, low in zip(shape, least, strict=True)
        )
        return s, a, r

    def _window(self, sides: Shape) -> Shape:
        """Sides of the window: what was asked for or what suits, as far as memory allows."""
        if self.settings.window:
            asked = -(-self.settings.window // self.stride) * self.stride
            return _clipped(sides, _cube(max(asked, self.least)))
        if self.patch is not None:
            return _clipped(sides, self.patch)
        for side in range(max(sides), self.least, -self.stride):
            window = _clipped(sides, _cube(side))
            if self._fits(window):
                return window
        return _clipped(sides, _cube(self.least))

    def _fits(self, window: Shape) -> bool:
        """Whether a pass over so large a window has the memory it takes."""
        if self._bytes_per_voxel is None:
            self._bytes_per_voxel = self._measured()
        needed = _WORKSPACE * self._bytes_per_voxel * float(np.prod(window))
        return needed <= _SHARE * self._free()

    def _check_memory(self, sides: Shape) -> None:
        """Refuse what the sums over windows and copies would not fit into."""
        maps = (2 * self.classes + 2) * 4 * float(np.prod(sides))
        free = psutil.virtual_memory().available
        if maps > _SHARE * free:
            raise MrisslError(
                f"{self.classes} classes on {' x '.join(map(str, sides))} voxels take "
                f"{maps / 2**30:.1f} GiB of memory",
                where="prediction",
                expected=f"at most {_SHARE * free / 2**30:.1f} GiB",
                remedy="crop the scan first",
            )

    def _measured(self) -> float:
        """Bytes of maps alive at the busiest moment, for each voxel of a small image."""
        side = 2 * self.least
        image = torch.zeros((1, 1, side, side, side), device=self.device)
        with torch.inference_mode(), _LiveMaps() as maps:
            self.network(image)
        return float(maps.most) / float(side**3)

    def _free(self) -> int:
        if self.device.type == "cuda":
            return int(torch.cuda.mem_get_info(self.device)[0])
        return int(psutil.virtual_memory().available)


def device_named(name: str) -> torch.device:
    """The device of this name; ``"auto"`` is a GPU where there is one.

    Raises
    ------
    MrisslError
        If there is none of this name on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    count = torch.cuda.device_count()
    there = device is not None and (
        device.type == "cpu" or (device.type == "cuda" and (device.index or 0) < count)
    )
    if device is None or not there:
        raise MrisslError(
            f"{name!r} is not on this machine", where="device", expected="auto, cpu or a GPU"
        )
    return device


def mirrored_axes(flips: str, trained: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Axes of (N, C, S, A, R) along which each mirrored copy is turned round.

    Parameters
    ----------
    flips
        See `PredictionSettings`.
    trained
        Axes of (S, A, R) that training mirrored.
    """
    if flips == "all":
        axes = [0, 1, 2]
    elif flips == "safe":
        axes = sorted(set(trained) - {LEFT_RIGHT})
    else:
        axes = []
    return [
        tuple(axis + 2 for axis in chosen)
        for count in range(1, len(axes) + 1)
        for chosen in itertools.combinations(axes, count)
    ]


def window_count(sides: Shape, window: Shape, overlap: float) -> int:
    """How many windows cover an image."""
    count = 1
    for whole, side in zip(sides, window, strict=True):
        step = max(int(side * (1 - overlap)), 1)
        count *= -(-(whole - side) // step) + 1 if whole > side else 1
    return count


def _clipped(sides: Shape, wanted: Shape) -> Shape:
    s, a, r = (min(side, whole) for side, whole in zip(wanted, sides, strict=True))
    return s, a, r


def _cube(side: int) -> Shape:
    return side, side, side


class _LiveMaps(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operations of a block made and that are still there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and look at what is alive after it."""
        result = func(*args, **(kwargs or {}))
        gone = [
            key
            for key, (held, _) in self._alive.items()
            if held.expired()  # type: ignore[no-untyped-call]
        ]
        for key in gone:
            del self._alive[key]
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                held = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._alive[storage._cdata] = held, storage.nbytes()
        self.most = max(self.most, sum(size for _, size in self._alive.values()))
        return result
