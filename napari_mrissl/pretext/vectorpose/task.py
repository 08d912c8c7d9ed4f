"""VectorPOSE as a pretext task (arXiv:2211.08533)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.pretext import crops, edges
from napari_mrissl.pretext.corruptions import corrupt
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.subjects import Scan, Subjects
from napari_mrissl.pretext.task import (
    Collective,
    LossTerm,
    Sample,
    SampleKey,
    Shown,
    Task,
)
from napari_mrissl.pretext.vectorpose.chance import constant_predictor, mean_errors
from napari_mrissl.pretext.vectorpose.decode import fit_box
from napari_mrissl.pretext.vectorpose.losses import cosine_term, costs, directions, squash
from napari_mrissl.pretext.vectorpose.network import VectorPoseNetwork
from napari_mrissl.pretext.vectorpose.settings import INFO, VectorPoseSettings
from napari_mrissl.pretext.vectorpose.vectors import (
    Axis,
    axis_of,
    decode,
    encode,
    radius_mm,
    vectors_mm,
)
from napari_mrissl.synthesis.draws import generator

_CHANCE_CROPS = 1024
_CHANCE_IMAGES = 8
_SHOWN = 6


@dataclass(frozen=True, eq=False)
class Drawn:
    """A crop before it is cut, and its vectors.

    Attributes
    ----------
    scan, record
        What to cut.
    vectors
        (9, 3) float32, coded as (r, theta, phi).
    """

    scan: Scan
    record: CropRecord
    vectors: NDArray[np.float32]


class VectorPose(Task[VectorPoseSettings]):
    """Vector prediction, boundary-focused reconstruction, or both."""

    info = INFO

    def __init__(self, settings: VectorPoseSettings) -> None:
        super().__init__(settings)
        self.targets = ("vectors",) * settings.vectors + ("clean",) * settings.restores
        self._axes: dict[str, Axis] = {}

    def network(self) -> VectorPoseNetwork:
        """A new network with the heads that are trained."""
        return VectorPoseNetwork(self.settings)

    def draw(self, subjects: Subjects, rng: np.random.Generator) -> Drawn:
        """Draw a subject, a crop and its vectors."""
        scan = subjects.scan(int(rng.integers(len(subjects))))
        record = self.draw_record(rng, scan)
        vectors = encode(vectors_mm(record, self.axis(scan)), radius_mm(record))
        return Drawn(scan, record, vectors)

    def draw_record(self, rng: np.random.Generator, scan: Scan) -> CropRecord:
        """Draw a crop of a scan."""
        crop = self.settings.crop
        turned = rng.random() < self.settings.turned
        element = crop.element if turned else "none"
        return crops.draw_crop(
            rng, scan, crop.side, crop.edge_mm, crop.scale, element, crop.least_mean
        )

    def axis(self, scan: Scan) -> Axis:
        """The axis of a scan; found once for each."""
        axis = self._axes.get(scan.identity)
        if axis is None:
            axis = axis_of(scan.volume, self.settings.axis)
            self._axes[scan.identity] = axis
        return axis

    def sample(self, subjects: Subjects, key: SampleKey) -> Sample:
        """A crop, corrupted if it is to be restored, and its nine vectors."""
        settings = self.settings
        drawn = self.draw(subjects, key.generator("crop"))
        clean = crops.cut(drawn.scan, drawn.record)
        arrays: dict[str, NDArray[Any]] = {"image": clean[None]}
        record: dict[str, Any] = {"crop": drawn.record.plain()}
        if settings.vectors:
            arrays["vectors"] = drawn.vectors
        if settings.restores:
            spoiled = corrupt(clean, settings.corruption, key.generator("corruption"))
            arrays |= {"image": spoiled.image[None], "clean": clean[None]}
            record["corruption"] = dict(spoiled.record)
            if settings.boundary_in_paint:
                arrays["painted"] = spoiled.mask[None]
        return Sample(arrays, drawn.scan.subject, record)

    def prepare(
        self, batch: dict[str, torch.Tensor], keys: Sequence[SampleKey]
    ) -> dict[str, torch.Tensor]:
        """Add the boundary map of the clean crops, where one is needed."""
        if self.settings.restoration in ("predict_boundary", "weighted"):
            batch["boundary"] = edges.batch_edges(batch["clean"], self.settings.edges)
        return batch

    def losses(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """``r``, ``theta``, ``phi``, ``reconstruction``, ``boundary``: those that are trained."""
        outputs = network(batch["image"])
        settings = self.settings
        terms: dict[str, LossTerm] = {}
        if settings.vectors:
            terms |= self._vectors(outputs["vectors"], batch["vectors"])
        if settings.restores:
            terms |= self._restoration(restored_images(outputs["restored"]), batch)
        return terms

    def measures(
        self, network: torch.nn.Module, batch: dict[str, torch.Tensor], collective: Collective
    ) -> dict[str, LossTerm]:
        """As `losses`, but vectors are read from clean crops also where crops are restored.

        A run on vectors alone never sees a spoiled crop: its errors compare with no others.
        """
        terms = self.losses(network, batch, collective)
        if self.settings.vectors and self.settings.restores:
            terms |= self._vectors(network(batch["clean"])["vectors"], batch["vectors"])
        return terms

    def _vectors(self, raw: torch.Tensor, true: torch.Tensor) -> dict[str, LossTerm]:
        settings, predicted = self.settings, squash(raw)
        terms = costs(predicted, true, settings.least_r, settings.loss).terms()
        if settings.cosine:
            terms["cosine"] = cosine_term(predicted, true, settings.least_r, settings.cosine)
        return terms

    def _restoration(
        self, restored: torch.Tensor, batch: dict[str, torch.Tensor]
    ) -> dict[str, LossTerm]:
        apart = (restored[:, :1] - batch["clean"].to(restored.dtype)).abs()
        mode = self.settings.restoration
        if mode == "weighted":
            weights = 1 + self.settings.boundary_weight * batch["boundary"].to(restored.dtype)
            return {"reconstruction": LossTerm((weights * apart).sum(), weights.sum())}
        terms = {"reconstruction": LossTerm(apart.sum(), float(apart.numel()))}
        if mode == "predict_boundary":
            apart = (restored[:, 1:] - batch["boundary"].to(restored.dtype)).abs()
            if self.settings.boundary_in_paint:
                painted = batch["painted"].to(restored.dtype)
                terms["boundary"] = LossTerm((apart * painted).sum(), painted.sum())
            else:
                terms["boundary"] = LossTerm(apart.sum(), float(apart.numel()))
        return terms

    def constant(self, subjects: Subjects, seed: int) -> NDArray[np.float64]:
        """(9, 3) the best constant answer, coded, on 1,024 crops of these subjects."""
        squared = self.settings.loss == "mse"
        coded = self._coded(subjects, seed)
        return constant_predictor(coded, self.settings.least_r, squared=squared)

    def chance(self, subjects: Subjects, seed: int) -> dict[str, float]:
        """Of the best constants: for vectors on 1,024 crops, for voxels on 8.

        Restored grey values are compared with the better of two answers, the best constant
        and the corrupted crop itself; boundaries with the best constant.
        """
        settings = self.settings
        found: dict[str, float] = {}
        if settings.vectors:
            coded = self._coded(subjects, seed)
            squared = settings.loss == "mse"
            constant = constant_predictor(coded, settings.least_r, squared=squared)
            found |= mean_errors(constant, coded, settings.least_r, squared=squared)
            if settings.cosine:
                found["cosine"] = _constant_cosine(coded, settings.least_r)
        if settings.restores:
            found |= self._chance_of_voxels(subjects, seed)
        return found

    def _coded(self, subjects: Subjects, seed: int) -> NDArray[np.float32]:
        rng = generator(seed, 0, "chance of vectors")
        return np.stack([self.draw(subjects, rng).vectors for _ in range(_CHANCE_CROPS)])

    def _chance_of_voxels(self, subjects: Subjects, seed: int) -> dict[str, float]:
        # Steps before the first: no training step has these samples.
        keys = [SampleKey(seed, -1, number) for number in range(_CHANCE_IMAGES)]
        samples = [self.sample(subjects, key).arrays for key in keys]
        clean, spoiled = (np.stack([one[name] for one in samples]) for name in ("clean", "image"))
        weights = np.ones_like(clean)
        found = {}
        if self.settings.restoration in ("predict_boundary", "weighted"):
            maps = np.stack([edges.edges(crop[0], self.settings.edges)[None] for crop in clean])
            if self.settings.restoration == "weighted":
                weights += self.settings.boundary_weight * maps
            elif self.settings.boundary_in_paint:
                found["boundary"] = _constant_error(maps, np.stack([s["painted"] for s in samples]))
            else:
                found["boundary"] = _constant_error(maps, weights)
        copied = float(np.average(np.abs(spoiled - clean), weights=weights))
        return {"reconstruction": min(copied, _constant_error(clean, weights)), **found}

    def show(self, network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> list[Shown]:
        """Middle slices of a few crops: with what is read from the vectors, and restored."""
        image = batch["image"][:_SHOWN]
        with torch.no_grad():
            outputs = network(image)
        shown = []
        middle = image.shape[2] // 2
        if "vectors" in outputs:
            predicted = squash(outputs["vectors"]).cpu().numpy()
            true = batch["vectors"][:_SHOWN].float().cpu().numpy()
            captions = tuple(_caption(p, t) for p, t in zip(predicted, true, strict=True))
            shown.append(Shown("vectors", _slices(image[:, 0], middle), captions))
        if "restored" in outputs:
            restored = restored_images(outputs["restored"])
            rows = {"corrupted": image[:, 0], "restored": restored[:, 0]}
            rows["clean"] = batch["clean"][:_SHOWN, 0]
            if restored.shape[1] > 1:
                rows |= {"boundary, predicted": restored[:, 1]}
                rows |= {"boundary, true": batch["boundary"][:_SHOWN, 0]}
            tiles = np.concatenate([_slices(images, middle) for images in rows.values()])
            names = tuple(name for name in rows for _ in range(len(image)))
            shown.append(Shown("restored", tiles, names))
        return shown


def restored_images(raw: torch.Tensor) -> torch.Tensor:
    """Restored grey values, and boundaries, in (0, 1)."""
    return torch.sigmoid(raw.to(torch.promote_types(raw.dtype, torch.float32)))


def _slices(images: torch.Tensor, number: int) -> NDArray[np.float32]:
    tiles: NDArray[np.float32] = images[:, number].float().clamp(0, 1).cpu().numpy()
    return tiles


def _caption(predicted: NDArray[np.floating], true: NDArray[np.floating]) -> str:
    """Errors as the user reads them, lengths in per cent of R, which is all a batch knows."""
    found, expected = fit_box(decode(predicted, 1.0)), fit_box(decode(true, 1.0))
    apart = float(np.linalg.norm(found.to_axis_mm - expected.to_axis_mm))
    ratio = found.edge_mm / max(expected.edge_mm, 1e-9)
    turned = "right" if found.element == expected.element else "wrong"
    return f"off by {100 * apart:.0f} % of R, scale x{ratio:.2f}, orientation {turned}"


def _constant_error(values: NDArray[np.floating], weights: NDArray[Any]) -> float:
    """Weighted mean distance to the weighted median; 0 where nothing has a weight."""
    if not weights.any():
        return 0.0
    order = np.argsort(values, axis=None)
    reached = np.cumsum(weights.ravel()[order], dtype=np.float64)
    middle = values.ravel()[order][np.searchsorted(reached, reached[-1] / 2)]
    return float(np.average(np.abs(values - middle), weights=weights))


def _constant_cosine(coded: NDArray[np.float32], least_r: float) -> float:
    """The constant direction that is best on average is that of the mean direction."""
    units = directions(torch.from_numpy(coded)).numpy()
    total, count = 0.0, 0
    for number in range(units.shape[1]):
        own = units[coded[:, number, 0] > least_r, number]
        total += len(own) - math.hypot(*own.sum(axis=0))
        count += len(own)
    return total / max(count, 1)
