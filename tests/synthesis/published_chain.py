"""The published data engine, written slowly from its description: scipy, scikit-image, MONAI.

An oracle for the distribution of what `napari_mrissl.synthesis` makes, and the baseline of
its benchmark. It shares no code with the engine: only the description of the steps
(arXiv:2411.02372, ``synthetic-data-generation``) and MONAI 1.6's own transforms. Every
stage adds its seconds to a clock.

A volume of another side than 128 is the same volume on a coarser grid: lengths in voxels,
and the steps through a template, scale with side / 128.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import monai.transforms as mt
import numpy as np
import torch
from scipy import ndimage
from skimage.filters import median
from skimage.morphology import ball
from torch.nn.functional import grid_sample, interpolate

SIDE = 128


@dataclass
class Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start


@dataclass
class PublishedPair:
    """What one call makes; ``mixtures`` are the views before noise and augmentation."""

    views: np.ndarray
    labels: np.ndarray
    kind: str
    mixtures: np.ndarray


class PublishedChain:
    """Steps 1 and 2 of the reference for a list of binary templates."""

    def __init__(self, templates: Sequence[np.ndarray], seed: int, side: int = SIDE) -> None:
        self.templates = templates
        self.rng = np.random.RandomState(seed)
        torch.manual_seed(seed)
        self.side = side
        self.unit = side / SIDE
        self.clock = Clock()
        self.chain = {
            "scale": mt.ScaleIntensity(0, 1),
            "bias": mt.RandBiasField(prob=0.98, coeff_range=(0.0, 0.075)),
            "spike": mt.RandKSpaceSpikeNoise(prob=0.2),
            "contrast": mt.RandAdjustContrast(prob=0.5, gamma=(0.5, 2.0)),
            "smooth": mt.RandGaussianSmooth(
                prob=0.5, sigma_x=(0, 0.333), sigma_y=(0, 0.333), sigma_z=(0, 0.333)
            ),
            "gibbs": mt.RandGibbsNoise(prob=0.5, alpha=(0.0, 0.333)),
            "sharpen": mt.RandGaussianSharpen(prob=0.25),
            "low resolution": mt.RandSimulateLowResolution(
                prob=0.333, downsample_mode="nearest-exact", zoom_range=(0.5, 1.0)
            ),
            "threshold": mt.ThresholdIntensity(0.0, above=True, cval=0.0),
            "finish": mt.ScaleIntensity(0, 1),
        }
        for number, transform in enumerate(self.chain.values()):
            if isinstance(transform, mt.Randomizable):
                transform.set_random_state(seed=seed * 1000 + number)

    def pair(self) -> PublishedPair:
        """The next pair."""
        labels, kind = self.labels()
        made = [self.view(labels) for _ in range(2)]
        views, mixtures = (np.stack(parts) for parts in zip(*made, strict=True))
        return PublishedPair(views, labels, kind, mixtures)

    def labels(self) -> tuple[np.ndarray, str]:
        """A label ensemble, plain, masked or enveloped."""
        rng, clock, side = self.rng, self.clock, self.side
        labels = np.zeros((side,) * 3, np.uint8)
        for k in range(rng.randint(20, 40)):
            with clock("affine"):
                roi = self.placed(self.templates[rng.randint(len(self.templates))])
                labels[roi > 0] = k
        with clock("median"):
            labels = median(labels)
        if not rng.rand() > 1 / 3:
            return labels, "plain"
        with clock("mask"):
            mask = self.mask()
        with clock("median of the mask"):
            mask = median(mask.astype(np.uint8)) > 0
        labels = labels * mask
        labels[mask] += 1
        if not rng.rand() > 0.5:
            return labels, "masked"
        with clock("envelope"):
            labels[self.shell(mask, rng.choice([2, 3, 4]))] = labels.max() + 1
        return labels, "enveloped"

    def placed(self, template: np.ndarray) -> np.ndarray:
        """Padded to 128, then a random affine map about the corner that wraps around."""
        rng = self.rng
        missing = [max(0, SIDE - n) for n in template.shape]
        padded = np.pad(template.astype(np.uint8), [(n // 2, n - n // 2) for n in missing])
        scale = np.diag(rng.uniform(0.5, 1.5, 3) * rng.choice([-1, 1], 3))
        a, b, c = np.deg2rad(rng.uniform(-180, 180, 3))
        x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
        y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
        z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
        s, t, u = rng.uniform(-0.5, 0.5, 3)
        shear = np.array([[1, s, t], [0, 1, u], [0, 0, 1]])
        matrix = scale @ np.array(x) @ np.array(y) @ np.array(z) @ shear
        return ndimage.affine_transform(
            padded,
            matrix / self.unit,
            rng.uniform(-5, 5, 3),
            output_shape=(self.side,) * 3,
            order=0,
            mode="grid-wrap",
        )

    def mask(self) -> np.ndarray:
        """A ball warped by three noise fields."""
        rng, side, unit = self.rng, self.side, self.unit
        radius, moves = rng.randint(48, 72) * unit, rng.randint(-32, 32, 3) * unit
        z, y, x = np.ogrid[:side, :side, :side]
        middle = [side // 2 + move for move in moves]
        inside = (z - middle[0]) ** 2 + (y - middle[1]) ** 2 + (x - middle[2]) ** 2 <= radius**2
        warp = torch.zeros(1, 3, side, side, side)
        for scale in (8, 16, 32):
            nodes = SIDE // scale
            coarse = torch.randn(1, 3, nodes, nodes, nodes) * rng.uniform(1, 5) * unit
            warp += interpolate(coarse, size=(side,) * 3, mode="trilinear")
        lines = torch.meshgrid(*[torch.arange(side, dtype=torch.float32)] * 3, indexing="ij")
        places = torch.stack(lines)[None] + warp
        grid = (2 * places / (side - 1) - 1).permute(0, 2, 3, 4, 1).flip(-1)
        image = torch.from_numpy(inside.astype(np.float32))[None, None]
        moved = grid_sample(
            image, grid, mode="nearest", padding_mode="reflection", align_corners=True
        )
        return moved[0, 0].numpy() > 0.5

    def shell(self, mask: np.ndarray, width: float) -> np.ndarray:
        """Dilated and not eroded by a ball; nothing is eroded from outside the volume."""
        width = max(1.0, width * self.unit)
        if width == int(width):
            footprint = ball(int(width))
        else:
            line = np.arange(-int(width), int(width) + 1)
            footprint = (line[:, None, None] ** 2 + line[:, None] ** 2 + line**2) <= width**2
        wide = ndimage.binary_dilation(mask, footprint)
        return wide & ~ndimage.binary_erosion(mask, footprint, border_value=1)

    def view(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One view, and its grey values before noise and augmentation."""
        clock = self.clock
        with clock("mixture"):
            mixture = self.mixture(labels)
        with clock("noise"):
            image = torch.from_numpy(mixture) * (1 + 0.02 * self.noise())
        image = image[None]
        for name, transform in self.chain.items():
            with clock(name):
                image = transform(image)
        return np.asarray(image[0]), mixture

    def mixture(self, labels: np.ndarray) -> np.ndarray:
        """A Gaussian per label; the lowest label black in a quarter of the views."""
        rng = self.rng
        means, stds = rng.uniform(25, 255, 256), rng.uniform(5, 20, 256)
        if rng.rand() < 0.25:
            means[labels.min()] = stds[labels.min()] = 0
        noise = rng.standard_normal(labels.shape).astype(np.float32)
        image = means.astype(np.float32)[labels] + stds.astype(np.float32)[labels] * noise
        image = np.clip(image, 0, None)
        return (image - image.min()) / (image.max() - image.min())

    def noise(self) -> torch.Tensor:
        """Noise of four scales, upsampled and summed."""
        side = self.side
        total = torch.zeros(1, 1, side, side, side)
        for scale in (4, 8, 16, 32):
            nodes = SIDE // scale
            coarse = torch.randn(1, 1, nodes, nodes, nodes) * self.rng.uniform(0, 5)
            total += interpolate(coarse, size=(side,) * 3, mode="trilinear")
        return total[0, 0]
