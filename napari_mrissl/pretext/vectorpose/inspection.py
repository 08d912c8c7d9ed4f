"""A pretrained VectorPOSE network at work on a scan, for the inspector and the command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.pretext import crops, cube, edges
from napari_mrissl.pretext.corruptions import corrupt
from napari_mrissl.pretext.crops import CropRecord
from napari_mrissl.pretext.opening import opened
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.pretext.vectorpose.chance import (
    constant_predictor,
    constant_summary,
    mean_errors,
)
from napari_mrissl.pretext.vectorpose.decode import read_vectors, summary
from napari_mrissl.pretext.vectorpose.losses import squash
from napari_mrissl.pretext.vectorpose.settings import INFO, VectorPoseSettings
from napari_mrissl.pretext.vectorpose.task import VectorPose, restored_images
from napari_mrissl.pretext.vectorpose.vectors import (
    decode,
    encode,
    points_mm,
    radius_mm,
    vectors_mm,
)
from napari_mrissl.pretext.vectorpose.views import (
    DIRECTIONS,
    CropView,
    Direction,
    Inspection,
    Measured,
    RestorationView,
    Sweep,
)
from napari_mrissl.synthesis.draws import generator

Coded = NDArray[np.float64]
Progress = Callable[[float], object]
"""Is told the share that is done; what it raises ends the work."""

_AT_ONCE, _LARGE_AT_ONCE = 16, 4
_LARGE_SIDE = 64
_KEPT_IMAGES = 4


class Inspector:
    """A network with its settings, which answers for crops of any scan.

    Parameters
    ----------
    settings
        Of the task.
    network
        Trained; it is put into evaluation mode.
    card
        Of its weights; ``preprocessing`` says how values become [0, 1].
    """

    def __init__(
        self,
        settings: VectorPoseSettings,
        network: torch.nn.Module,
        card: dict[str, Any] | None = None,
    ) -> None:
        self.settings = settings
        self.card = card or {}
        self.task = VectorPose(settings)
        self._network = network.eval()
        self._device = next(network.parameters()).device

    @classmethod
    def open(cls, source: str | Path, device: str = "cpu") -> Inspector:
        """The network of a run, or of a file of weights.

        Raises
        ------
        MrisslError
            If there are no weights yet, or they are of another method.
        """
        settings, network, card = opened(source, INFO, VectorPoseSettings, _network, device)
        return cls(settings, network, card)

    def predict(self, images: ArrayLike) -> Coded:
        """(N, 9, 3) r, theta and phi of crops (N, S, S, S) in [0, 1], turned.

        Raises
        ------
        MrisslError
            If the network was not trained to predict vectors.
        """
        if not self.settings.vectors:
            raise MrisslError("this run predicts no vectors", where=INFO.title)
        stack = np.asarray(images, np.float32)[:, None]
        many = self._at_once
        answers = [
            squash(self._answer(stack[start : start + many])["vectors"]).double().cpu().numpy()
            for start in range(0, len(stack), many)
        ]
        return np.concatenate(answers)

    def crop(
        self, scan: Scan, center_mm: ArrayLike, scale: float = 1.0, element: int = cube.IDENTITY
    ) -> CropRecord:
        """The crop about a point of the scan's axis frame, as large as the run's times scale."""
        crop = self.settings.crop
        return crops.crop_at(scan, center_mm, crop.side, crop.edge_mm, scale, element)

    def look(
        self, scan: Scan, records: Sequence[CropRecord], progress: Progress | None = None
    ) -> list[CropView]:
        """Cut crops, predict their vectors and compare them with the truth."""
        return [
            view
            for _, views in self._batches(scan, records, len(records), progress)
            for view in views
        ]

    def sweep(
        self,
        scan: Scan,
        record: CropRecord,
        direction: Direction,
        count: int = 33,
        progress: Progress | None = None,
    ) -> Sweep:
        """Slide a crop through the scan along an axis, from face to face."""
        number = DIRECTIONS.index(direction)
        lower = -np.array(record.spacing_mm) / 2 + record.edge_mm / 2
        upper = record.scan_edges_mm + lower - record.edge_mm
        places = np.linspace(lower[number], max(upper[number], lower[number]), count)
        records = []
        for place in places:
            center = record.center_mm
            center[number] = place
            records.append(
                self.crop(scan, center, record.edge_mm / self.settings.crop.edge_mm, record.element)
            )
        views = self.look(scan, records, progress)
        return Sweep(
            direction,
            places - record.scan_center_mm[number],
            np.stack([view.coded_true[0] for view in views]),
            np.stack([view.coded_predicted[0] for view in views]),
            np.array([view.reading.position_error_mm for view in views]),
        )

    def restoration(self, scan: Scan, record: CropRecord, seed: int = 0) -> RestorationView:
        """Spoil a crop as in training and restore it.

        Raises
        ------
        MrisslError
            If the network was not trained to restore.
        """
        settings = self.settings
        if not settings.restores:
            raise MrisslError("this run restores nothing", where=INFO.title)
        original = crops.cut(scan, record)
        spoiled = corrupt(original, settings.corruption, generator(seed, 0, "inspected corruption"))
        raw = self._answer(spoiled.image[None, None])["restored"]
        images = restored_images(raw)[0].float().cpu().numpy()
        return RestorationView(
            record=record,
            original=original,
            corrupted=spoiled.image,
            painted=spoiled.mask,
            restored=images[0],
            gradient=edges.gradient(original, settings.edges.median),
            predicted_boundary=images[1] if len(images) > 1 else None,
            settings=settings.edges,
            boundary_weight=settings.boundary_weight
            if settings.restoration == "weighted"
            else None,
        )

    def inspect(
        self,
        scan: Scan,
        count: int = 128,
        seed: int = 0,
        shuffled: Inspector | None = None,
        progress: Progress | None = None,
    ) -> Inspection:
        """Measure the network on random crops of a scan, beside predictors that know nothing.

        Parameters
        ----------
        scan
            Best one of a subject that it was not trained on.
        count, seed
            Of the crops, drawn as in training.
        shuffled
            A network trained on shuffled targets, with the same crops.
        progress
            Is told the share that is done; what it raises ends the work.

        Raises
        ------
        MrisslError
            If the network predicts no vectors, or the shuffled one sees other crops.
        """
        if shuffled is not None and shuffled.settings.crop != self.settings.crop:
            raise MrisslError("the shuffled run has other crops", where="null control")
        rng = generator(seed, 0, "inspected crops")
        records = [self.task.draw_record(rng, scan) for _ in range(count)]
        axis, least_r = self.task.axis(scan), self.settings.least_r
        views: list[CropView] = []
        inverted: list[Coded] = []
        strangers: list[Coded] = []
        # Every answer is asked for while the images are there: all of them do not fit.
        for images, seen in self._batches(scan, records, _KEPT_IMAGES, progress):
            views += seen
            inverted.append(self.predict(1 - images))
            if shuffled is not None:
                strangers.append(shuffled.predict(images))
        true = np.stack([view.coded_true for view in views])
        constant = np.broadcast_to(constant_predictor(true, least_r), true.shape)

        def measured(coded: Coded) -> Measured:
            readings = [
                read_vectors(decode(one, radius_mm(record)), record, axis)
                for one, record in zip(coded, records, strict=True)
            ]
            return Measured(mean_errors(coded, true, least_r), summary(readings))

        return Inspection(
            trained=measured(np.stack([view.coded_predicted for view in views])),
            constant=Measured(
                mean_errors(constant, true, least_r), constant_summary(records, axis, least_r)
            ),
            inverted=measured(np.concatenate(inverted)),
            shuffled=None if shuffled is None else measured(np.concatenate(strangers)),
            chance_orientation=self.settings.most_likely_orientation,
            crops=tuple(views),
        )

    @property
    def _at_once(self) -> int:
        """Crops that a network is shown together: few of the large ones, for memory and cancel."""
        return _LARGE_AT_ONCE if self.settings.crop.side >= _LARGE_SIDE else _AT_ONCE

    def _batches(
        self, scan: Scan, records: Sequence[CropRecord], kept: int, progress: Progress | None
    ) -> Iterator[tuple[NDArray[np.float32], list[CropView]]]:
        """Images (N, S, S, S) and views of a few crops at a time; the first views keep images."""
        for start in range(0, len(records), self._at_once):
            if progress is not None:
                progress(start / len(records))
            some = records[start : start + self._at_once]
            images = np.stack([crops.cut(scan, record) for record in some])
            views = [
                self._view(scan, record, image, coded)
                for record, image, coded in zip(some, images, self.predict(images), strict=True)
            ]
            # A copy: a view of the stack would keep all of it.
            yield (
                images,
                [
                    replace(view, image=image.copy() if start + number < kept else None)
                    for number, (view, image) in enumerate(zip(views, images, strict=True))
                ],
            )
        if progress is not None:
            progress(1.0)

    def _answer(self, images: NDArray[np.float32]) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            answer: dict[str, torch.Tensor] = self._network(
                torch.from_numpy(np.ascontiguousarray(images)).to(self._device)
            )
        return answer

    def _view(
        self, scan: Scan, record: CropRecord, image: NDArray[np.float32], coded: Coded
    ) -> CropView:
        axis, radius = self.task.axis(scan), radius_mm(record)
        predicted = decode(coded, radius)
        reading = read_vectors(predicted, record, axis)
        ends = np.stack([axis.at(record.lower_mm[0]), axis.at(record.upper_mm[0])])
        back = cube.act_vectors(predicted, cube.inverse(record.element))
        return CropView(
            record=record,
            image=image,
            points=record.to_world(points_mm(record)),
            true=record.vectors_to_world(vectors_mm(record, axis, turned=False)),
            predicted=record.vectors_to_world(back),
            axis=record.to_world(ends),
            rebuilt=record.to_world(reading.points_mm),
            fitted=record.to_world(reading.fitted_points_mm),
            coded_true=encode(vectors_mm(record, axis), radius).astype(np.float64),
            coded_predicted=coded,
            reading=reading,
        )


def _network(settings: VectorPoseSettings) -> torch.nn.Module:
    return VectorPose(settings).network()
