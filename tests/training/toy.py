"""A small pretext task on generated volumes, with all that worlds and resuming can trip over.

Masks of different sizes (a mean of means is wrong), negatives gathered from all processes,
ghost batch normalisation, and dropout.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from napari_mrissl.networks.normalisation import GhostBatchNorm3d, group_norm
from napari_mrissl.pretext.info import TaskInfo, TaskSettings
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.task import LossTerm, Sample, Shown, Task
from napari_mrissl.training.settings import RunSettings
from napari_mrissl.volumes import Volume

SIDE = 6


class ToySettings(TaskSettings):
    """The switches of the toy."""

    width: int = 4
    dropout: float = 0.0
    poison: int | None = Field(
        default=None, description="The step whose second sample is not a number."
    )
    steep: int | None = Field(default=None, description="The step whose gradient is not a number.")
    hungry: int | None = Field(default=None, description="The step that asks for too much memory.")
    slow: float = Field(default=0.0, description="Seconds a step takes at least.")


class Blobs:
    """Subjects made on the spot: balls in noise."""

    def __init__(self, count: int = 4, first: int = 0, side: int = 20) -> None:
        self._count = count
        self._first = first
        self._side = side

    def __len__(self) -> int:
        return self._count

    def scan(self, number: int) -> Scan:
        return blob(self._first + number, self._side)


@cache
def blob(who: int, side: int) -> Scan:
    """The scan of one person."""
    rng = np.random.default_rng(who)
    grid = np.stack(np.meshgrid(*[np.arange(float(side))] * 3, indexing="ij"))
    middle = rng.uniform(0.3 * side, 0.7 * side, (3, 1, 1, 1))
    distance = np.linalg.norm(grid - middle, axis=0)
    voxels = 800 * (distance < side / 4) + rng.normal(100, 30, distance.shape)
    volume = Volume.from_stored(voxels.astype(np.float32), np.eye(4))
    return Scan(volume, 0.0, 1000.0, f"subject-{who:03d}", f"{who:064x}")


class Net(nn.Module):
    """Two maps and an embedding."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            # A bias before a normalisation has no gradient but rounding, which Adam blows up.
            nn.Conv3d(1, width, 3, padding=1, bias=False),
            GhostBatchNorm3d(width, group=2),
            nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1),
            group_norm(width, most=2),
            nn.SiLU(),
            nn.Dropout3d(dropout),
        )
        self.image = nn.Conv3d(width, 1, 1)
        self.embedding = nn.Linear(width, 5)
        self.unused = nn.Linear(3, 3)
        self.metric = nn.Linear(width, 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        maps = self.backbone(image)
        pooled = maps.mean(dim=(2, 3, 4))
        return self.image(maps), self.embedding(pooled), self.metric(pooled)


class Toy(Task[ToySettings]):
    """Restore masked voxels, and tell the samples of a batch apart."""

    targets = ("clean",)

    def network(self) -> nn.Module:
        return Net(self.settings.width, self.settings.dropout)

    def sample(self, subjects, key) -> Sample:
        rng = key.generator("crop")
        scan = subjects.scan(int(rng.integers(len(subjects))))
        corner = rng.integers(0, 20 - SIDE, 3)
        box = tuple(slice(c, c + SIDE) for c in corner)
        clean = np.asarray(scan.volume.data[box], np.float32)[None] / 1000
        masked = (rng.random(clean.shape) < rng.uniform(0.1, 0.9)).astype(np.float32)
        noisy = clean + 0.1 * key.generator("noise").standard_normal(clean.shape, np.float32)
        image = np.where(masked > 0, 0, noisy).astype(np.float32)
        if key.step == self.settings.poison and key.number == 1:
            # Whatever is masked, so that no step escapes.
            image[0, 3, 3, 3] = np.nan
        arrays = {
            "image": image,
            "clean": clean,
            "masked": masked,
            "step": np.int64(key.step),
        }
        return Sample(arrays, scan.subject, {"corner": corner.tolist()})

    def losses(self, network, batch, collective) -> dict[str, LossTerm]:
        image, embedding, metric = network(batch["image"])
        step = int(batch["step"][0])
        if self.settings.slow:
            time.sleep(self.settings.slow)
        if step == self.settings.hungry:
            torch.empty(1 << 60, dtype=torch.uint8)
        wrong = (image - batch["clean"]).square() * batch["masked"]
        if step == self.settings.steep:
            # Finite itself, with an infinite gradient.
            wrong = wrong + torch.sqrt(image * 0)
        everyone = collective.gather(embedding)
        mine = torch.arange(len(embedding)) + collective.rank * len(embedding)
        contrast = nn.functional.cross_entropy(embedding @ everyone.T, mine, reduction="sum")
        return {
            "restored": LossTerm(wrong.sum(), batch["masked"].sum()),
            "contrast": LossTerm(contrast, len(embedding), 0.1),
            "metric": LossTerm(metric.sum(), len(metric), 0.0),
        }

    def chance(self, subjects, seed) -> Mapping[str, float]:
        return {"restored": 0.1}

    def show(self, network, batch) -> list[Shown]:
        with torch.no_grad():
            image = network(batch["image"])[0]
        tiles = image[:2, 0, SIDE // 2].float().cpu().numpy().clip(0, 1)
        return [Shown("restored", tiles.astype(np.float32), ("first", "second")[: len(tiles)])]


INFO = TaskInfo(
    name="toy",
    title="Toy",
    description="Restores masked voxels of balls.",
    source="",
    settings=ToySettings,
    presets={"tiny": {}, "cpu": {}, "gpu": {}},
    load=lambda: Toy,
)
Toy.info = INFO
REGISTRY: Mapping[str, TaskInfo] = {"toy": INFO}


def toy_settings(
    *,
    task: Mapping[str, Any] | None = None,
    optimisation: Mapping[str, Any] | None = None,
    checkpoint: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    **others: Any,
) -> RunSettings:
    """Settings of a toy run on the CPU."""
    return RunSettings.model_validate(
        {
            "method": "toy",
            "task": task or {},
            "data": {"workers": 0, **(data or {})},
            "optimisation": {
                "steps": 20,
                "batch": 8,
                "learning_rate": 0.01,
                "warmup": 4,
                **(optimisation or {}),
            },
            "checkpoint": {
                "every": 5,
                "images_every": 0,
                "validate_every": 0,
                **(checkpoint or {}),
            },
            "device": "cpu",
            "seed": 3,
            **others,
        }
    )
