"""What registrations of real pairs are worth: MIND, network, both, and SimpleITK's B-splines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from real_pairs import REMARKS, Pair
from scipy import ndimage

from napari_mrissl.metrics import dice
from napari_mrissl.registration import PRESETS, RegistrationSettings, Transform, register
from napari_mrissl.registration.grids import Grid
from napari_mrissl.registration.linear import _as_itk, _image
from napari_mrissl.registration.scores import fold_share
from napari_mrissl.registration.transform import Field, jacobian, warped_labels

_LPS = np.array([-1, -1, 1], np.float32)
_MESH_MM, _BINS, _SHARE, _STEPS = 40.0, 48, 0.1, 60


@dataclass(frozen=True)
class Score:
    """What a method made of a pair.

    Attributes
    ----------
    pair, method
        Names.
    dice
        Mean over the labels that both scans have; None without labels.
    tre_mm
        Mean distance from the true place over body points; None where it is not known.
    folds
        Share of the fixed scan's voxels (of its mask) at which space folds.
    seconds
        Of the deformable part; for the linear method, of that.
    labels
        Dice by name.
    """

    pair: str
    method: str
    dice: float | None
    tre_mm: float | None
    folds: float
    seconds: float
    labels: dict[str, float] = field(default_factory=dict)


def b_splines(pair: Pair, linear: NDArray[np.float64]) -> Field:
    """The peer: SimpleITK's B-splines with mutual information, after the same linear part."""
    fixed, fixed_mask = _image(sitk, pair.fixed, pair.fixed_mask)
    moving, moving_mask = _image(sitk, pair.moving, pair.moving_mask)
    for window, which in ((pair.settings.fixed_window, 0), (pair.settings.moving_window, 1)):
        if window is not None and which == 0:
            fixed = sitk.Clamp(fixed, sitk.sitkFloat32, *window)
        elif window is not None:
            moving = sitk.Clamp(moving, sitk.sitkFloat32, *window)
    lengths = np.array(fixed.GetSize()) * fixed.GetSpacing()
    mesh = [max(2, round(float(length) / _MESH_MM)) for length in lengths]
    bent = sitk.BSplineTransformInitializer(fixed, mesh, 3)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SHARE, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsLBFGSB(1e-5, _STEPS, 5, 200)
    method.SetShrinkFactorsPerLevel((4, 2))
    method.SetSmoothingSigmasPerLevel((4.0, 2.0))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    for mask, give in (
        (fixed_mask, method.SetMetricFixedMask),
        (moving_mask, method.SetMetricMovingMask),
    ):
        if mask is not None:
            give(mask)
    to_moving = _as_itk(sitk, linear)
    method.SetMovingInitialTransform(to_moving)
    method.SetInitialTransform(bent, True)
    method.Execute(fixed, moving)
    # The last one that is added is applied first.
    whole = sitk.CompositeTransform([to_moving, bent])
    grid = Grid.of(pair.fixed)
    columns = (np.diag([-1.0, -1, 1]) @ grid.affine[:3, :3])[:, ::-1]
    spacing = grid.spacing[::-1]
    found = sitk.TransformToDisplacementField(
        whole,
        sitk.sitkVectorFloat64,
        [int(side) for side in grid.shape[::-1]],
        (grid.affine[:3, 3] * _LPS).tolist(),
        spacing.tolist(),
        (columns / spacing).reshape(-1).tolist(),
    )
    return (sitk.GetArrayFromImage(found) * _LPS).astype(np.float32)


_SMOOTH = PRESETS["smooth"].model_dump(exclude_defaults=True)


def _ours(features: str, **other: Any) -> Callable[[Pair, NDArray[np.float64]], Field]:
    def run(pair: Pair, linear: NDArray[np.float64]) -> Field:
        settings = pair.settings.model_copy(update={"features": features, **other})
        there = Transform.of_linear(linear)
        # Registered as `register` does it, from the linear part that all methods share.
        moved = pair.through(there)
        found = register(
            moved.fixed,
            moved.moving,
            settings.model_copy(update={"initial": "header", "linear": "none"}),
            fixed_mask=moved.fixed_mask,
            moving_mask=moved.moving_mask,
        ).transform
        return Transform(linear, found.grid, found.nodes).displacements(Grid.of(pair.fixed))

    return run


METHODS: dict[str, Callable[[Pair, NDArray[np.float64]], Field]] = {
    "linear": lambda pair, linear: Transform.of_linear(linear).displacements(Grid.of(pair.fixed)),
    "MIND": _ours("mind"),
    "MIND, smooth": _ours("mind", **_SMOOTH),
    "network": _ours("network"),
    "both": _ours("both"),
    "SimpleITK B-splines": b_splines,
}


def scores_of(pair: Pair, methods: list[str]) -> Iterator[Score]:
    """Of the headers as they are, and of every method."""
    still = np.eye(4)
    headers = METHODS["linear"](pair, still)
    yield _score(pair, "headers", headers, 0.0)
    begun = time.perf_counter()
    settings: RegistrationSettings = pair.settings.model_copy(update={"deformable": False})
    linear = register(
        pair.fixed,
        pair.moving,
        settings,
        fixed_mask=pair.fixed_mask,
        moving_mask=pair.moving_mask,
    ).linear
    linear_seconds = time.perf_counter() - begun
    for method in methods:
        begun = time.perf_counter()
        found = METHODS[method](pair, linear)
        taken = time.perf_counter() - begun
        yield _score(pair, method, found, linear_seconds if method == "linear" else taken)


def _score(pair: Pair, method: str, found: Field, seconds: float) -> Score:
    grid = Grid.of(pair.fixed)
    folds = fold_share(jacobian(found, grid), pair.fixed_mask)
    by_name: dict[str, float] = {}
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        moved = warped_labels(pair.moving_labels, pair.moving, found, grid)
        overlaps = dice(moved, pair.fixed_labels, list(pair.names))
        by_name = {name: overlaps[label] for label, name in pair.names.items()}
    error = None
    if pair.truth is not None:
        places, there = pair.truth
        index = (places - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T
        moved = [
            ndimage.map_coordinates(found[..., c], index.T, order=1, mode="nearest")
            for c in range(3)
        ]
        error = float(np.linalg.norm(places + np.stack(moved, -1) - there, axis=-1).mean())
    mean = float(np.mean(list(by_name.values()))) if by_name else None
    return Score(pair.name, method, mean, error, folds, seconds, by_name)


def as_markdown(scores: list[Score]) -> str:
    """One table of all."""
    lines = ["| pair | method | Dice | TRE mm | folds % | s |", "|---|---|---|---|---|---|"]
    for score in scores:
        overlap = "" if score.dice is None else f"{score.dice:.3f}"
        error = "" if score.tre_mm is None else f"{score.tre_mm:.2f}"
        lines.append(
            f"| {score.pair} | {score.method} | {overlap} | {error} "
            f"| {100 * score.folds:.2g} | {score.seconds:.1f} |"
        )
    return "\n".join([*lines, "", *(f"* {remark}" for remark in REMARKS)]) + "\n"


def save(scores: list[Score], folder: Path) -> dict[str, Any]:
    """Write the table and what it is made of."""
    content = {"scores": [score.__dict__ for score in scores], "remarks": list(REMARKS)}
    folder.mkdir(exist_ok=True)
    (folder / "bench_registration_accuracy.md").write_text(as_markdown(scores), "utf-8")
    return content
