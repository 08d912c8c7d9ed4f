"""MONAI's residual U-Net from scratch with mild augmentation: the reference of the field.

What it is given is fixed: 400 steps of two crops, Adam at 1e-3, Dice and cross entropy. torch
and MONAI are imported when it trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_mrissl.evaluation.contenders import Segment
from napari_mrissl.features.cancel import IsCancelled, stop_if
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    import torch

_STRIDE = 8
_LONGEST = 96
"""Sides of crops are multiples of the one, and at most the other."""


class PeerSettings(BaseModel):
    """How it is trained.

    Attributes
    ----------
    steps, batch, learning_rate, seed
        Of the optimiser; the rate falls by half a cosine.
    width
        Channels of the finest level; each of four levels has twice those of the one before.
    degrees, scale
        Largest rotation and change of size of image and labels.
    device
        ``"auto"`` takes a GPU where there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=400, ge=1)
    batch: int = Field(default=2, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    width: int = Field(default=16, ge=2, le=64)
    degrees: float = Field(default=10.0, ge=0, le=180)
    scale: float = Field(default=0.1, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)
    device: str = Field(default="auto", exclude=True)


def train(
    scans: Sequence[tuple[Volume, NDArray[np.integer]]],
    labels: Sequence[int],
    settings: PeerSettings | None = None,
    cancelled: IsCancelled | None = None,
) -> Segment:
    """Train on labelled scans, each on its own grid; returns what segments others.

    Parameters
    ----------
    scans
        Volumes and their label maps (S, A, R).
    labels
        Those to be told apart from each other and from the rest.
    settings
        How.
    cancelled
        Asked before each step.

    Raises
    ------
    Cancelled
        If it answered True.
    """
    import torch
    from monai.losses.dice import DiceCELoss

    settings = settings or PeerSettings()
    names = (0, *labels)
    device = _device(settings.device)
    sides = tuple(
        min(_LONGEST, -(-max(volume.shape[axis] for volume, _ in scans) // _STRIDE) * _STRIDE)
        for axis in range(3)
    )
    images = [_standardised(volume) for volume, _ in scans]
    classes = [_numbered(truth, names) for _, truth in scans]
    augment = _augmentation(sides, settings)
    rng = np.random.default_rng(settings.seed)
    # Drawing weights must not change what other code draws.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = _network(len(names), settings.width).to(device)
    loss_of = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
    network.train()
    for _ in range(settings.steps):
        stop_if(cancelled)
        batch = [
            crop
            for number in rng.integers(0, len(images), settings.batch)
            for crop in augment({"image": images[number][None], "label": classes[number][None]})
        ]
        image, truth = (
            torch.stack([torch.as_tensor(one[key]) for one in batch]).to(device)
            for key in ("image", "label")
        )
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(network(image.float()), truth)
        loss.backward()
        optimiser.step()
        schedule.step()
    return _segmenter(network.eval(), names, sides, device)


def _segmenter(
    network: torch.nn.Module, names: Sequence[int], sides: tuple[int, ...], device: torch.device
) -> Segment:
    import torch
    from monai.inferers.utils import sliding_window_inference

    table = np.asarray(names, np.int32)

    def segment(volume: Volume) -> NDArray[np.integer]:
        image = torch.from_numpy(_standardised(volume))[None, None].to(device)
        with torch.inference_mode():
            scores = sliding_window_inference(image, sides, 2, network, 0.5, "gaussian")
        found: NDArray[np.integer] = table[scores[0].argmax(0).cpu().numpy()]
        return found

    return segment


def _network(classes: int, width: int) -> torch.nn.Module:
    from monai.networks.nets.unet import UNet

    network: torch.nn.Module = UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        channels=tuple(width * 2**level for level in range(4)),
        strides=(2, 2, 2),
        num_res_units=2,
    )
    return network


def _augmentation(sides: tuple[int, ...], settings: PeerSettings) -> Any:
    from monai.transforms.compose import Compose
    from monai.transforms.croppad.dictionary import RandCropByPosNegLabeld, SpatialPadd
    from monai.transforms.intensity.dictionary import RandAdjustContrastd, RandGaussianNoised
    from monai.transforms.spatial.dictionary import RandAffined

    both = ["image", "label"]
    angle = float(np.deg2rad(settings.degrees))
    steps = [
        SpatialPadd(both, sides),
        RandAffined(
            both, prob=0.9, rotate_range=(angle,) * 3, scale_range=(settings.scale,) * 3,
            mode=("bilinear", "nearest"), padding_mode="zeros",
        ),
        RandCropByPosNegLabeld(both, "label", sides, pos=1, neg=1, num_samples=1),
        RandGaussianNoised(["image"], prob=0.3, std=0.1),
        RandAdjustContrastd(["image"], prob=0.3, gamma=(0.7, 1.5)),
    ]  # fmt: skip
    return Compose(steps).set_random_state(settings.seed)


def _standardised(volume: Volume) -> NDArray[np.float32]:
    """Values of mean 0 and standard deviation 1."""
    values = volume.slope * volume.data.astype(np.float64) + volume.intercept
    values = np.where(np.isfinite(values), values, 0.0)
    spread = float(values.std()) or 1.0
    standardised: NDArray[np.float32] = ((values - values.mean()) / spread).astype(np.float32)
    return standardised


def _numbered(labels: NDArray[np.integer], names: Sequence[int]) -> NDArray[np.int64]:
    """Positions in the list of labels; those not in it are 0."""
    numbered = np.zeros(labels.shape, np.int64)
    for number, label in enumerate(names[1:], 1):
        numbered[labels == label] = number
    return numbered


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
