"""Fitted classifiers: one compiled form for linear ones and rectified units, one for others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]

_ROWS_AT_ONCE = 16_384


class Outputs(NamedTuple):
    """Where a prediction goes; empty arrays where something is not wanted.

    Attributes
    ----------
    labels
        (N,) uint8.
    probability
        (K, N) or (K, 0) float32.
    uncertainty
        (N,) or (0,) float32: entropy over that of a uniform guess.
    """

    labels: Labels
    probability: Floats
    uncertainty: Floats

    @classmethod
    def for_labels(cls, labels: Labels) -> Outputs:
        """Only labels are wanted."""
        return cls(labels, np.empty((0, 0), np.float32), np.empty(0, np.float32))


class Model(Protocol):
    """A fitted classifier; `table` holds the label of each class."""

    def classify(
        self, features: Floats, table: Labels, outputs: Outputs, first: int, last: int
    ) -> None:
        """Fill the outputs for voxels first to last of features (C, N)."""
        ...

    def classify_at(
        self,
        features: Floats,
        voxels: NDArray[np.int64],
        table: Labels,
        labels: Labels,
        first: int,
        last: int,
    ) -> None:
        """Fill the labels of voxels given by flat index, 0 where that is -1."""
        ...


@dataclass(frozen=True, eq=False)
class FusedModel:
    """scores = linear x + weights max(units x + unit_bias, 0) + bias, compiled.

    Attributes
    ----------
    units, unit_bias
        (U, C) and (U,); U may be 0.
    linear, weights, bias
        (K, C), (K, U) and (K,).
    sharpness
        Probabilities are the softmax of this times the scores.
    """

    units: Floats
    unit_bias: Floats
    linear: Floats
    weights: Floats
    bias: Floats
    sharpness: float = 1.0

    def _parts(self) -> tuple[Floats, ...]:
        return self.units, self.unit_bias, self.linear, self.weights, self.bias

    def classify(
        self, features: Floats, table: Labels, outputs: Outputs, first: int, last: int
    ) -> None:
        """Fill the outputs for voxels first to last of features (C, N)."""
        from napari_mrissl.segmentation import kernels

        kernels.classify(
            features, *self._parts(), table, float(self.sharpness), *outputs, first, last
        )

    def classify_at(
        self,
        features: Floats,
        voxels: NDArray[np.int64],
        table: Labels,
        labels: Labels,
        first: int,
        last: int,
    ) -> None:
        """Fill the labels of voxels given by flat index, 0 where that is -1."""
        from napari_mrissl.segmentation import kernels

        kernels.classify_at(features, voxels, *self._parts(), table, labels, first, last)


@dataclass(frozen=True, eq=False)
class EstimatorModel:
    """A fitted scikit-learn classifier; much slower, for comparison."""

    estimator: Any

    def classify(
        self, features: Floats, table: Labels, outputs: Outputs, first: int, last: int
    ) -> None:
        """Fill the outputs for voxels first to last of features (C, N)."""
        for start in range(first, last, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, last))
            p = self._probabilities(features[:, part])
            outputs.labels[part] = table[p.argmax(axis=1)]
            if outputs.probability.size:
                outputs.probability[:, part] = p.T
            if outputs.uncertainty.size:
                entropy = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)
                outputs.uncertainty[part] = entropy / np.log(p.shape[1])

    def classify_at(
        self,
        features: Floats,
        voxels: NDArray[np.int64],
        table: Labels,
        labels: Labels,
        first: int,
        last: int,
    ) -> None:
        """Fill the labels of voxels given by flat index, 0 where that is -1."""
        labels[first:last] = 0
        inside = first + np.flatnonzero(voxels[first:last] >= 0)
        for start in range(0, len(inside), _ROWS_AT_ONCE):
            part = inside[start : start + _ROWS_AT_ONCE]
            p = self._probabilities(features[:, voxels[part]])
            labels[part] = table[p.argmax(axis=1)]

    def _probabilities(self, features: Floats) -> NDArray[np.float64]:
        rows = np.ascontiguousarray(features.T)
        return np.asarray(self.estimator.predict_proba(rows), np.float64)
