"""Crops of a scan: the record of a box, a scale and a turn, and the voxels it stands for.

Positions are in the scan's *own axis frame*: index (s, a, r) times spacing, in mm, counted
from the centre of the first voxel. Its axes run S, A, R (closest to them in an oblique
scan), in this order a left-handed frame; lengths in it are lengths in the world unless the
scan is sheared. World RAS mm come out of `CropRecord.to_world` alone, so that the two are
never mixed. A crop is a cube in mm, whatever the spacing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.geometry.affines import apply_affine
from napari_mrissl.pretext import cube
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.slicing.gather import number_type

Triple = tuple[float, float, float]
Turns = Literal["any", "rotations", "none"]

_GLANCE = 12
"""Voxels along each side of the coarse crop by which an empty one is told."""


@dataclass(frozen=True)
class CropRecord:
    """The geometry of one crop; every target is derived from it.

    Attributes
    ----------
    subject, identity
        Of the scan.
    shape, spacing_mm, affine
        Of the scan: voxels, mm, and index to world RAS mm, row by row.
    lower, upper
        Corners of the box in index coordinates, faces included: the whole scan is from -0.5
        to shape - 0.5.
    side
        Voxels along each side of the crop.
    scale
        Edge over the edge that was asked for; smaller than drawn where the scan is.
    element
        Of `cube.ELEMENTS`: how the crop is turned after it was cut.
    """

    subject: str
    identity: str
    shape: tuple[int, int, int]
    spacing_mm: Triple
    affine: tuple[tuple[float, float, float, float], ...]
    lower: Triple
    upper: Triple
    side: int
    scale: float = 1.0
    element: int = cube.IDENTITY

    @property
    def lower_mm(self) -> NDArray[np.float64]:
        """(3,) lower corner in the axis frame."""
        return np.array(self.lower) * self.spacing_mm

    @property
    def upper_mm(self) -> NDArray[np.float64]:
        """(3,) upper corner in the axis frame."""
        return np.array(self.upper) * self.spacing_mm

    @property
    def center_mm(self) -> NDArray[np.float64]:
        """(3,) middle of the box in the axis frame."""
        return (self.lower_mm + self.upper_mm) / 2

    @property
    def edge_mm(self) -> float:
        """Length of the box's edges; the mean of the three should they differ."""
        return float(np.mean(self.upper_mm - self.lower_mm))

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """(8, 3) corners in the axis frame; number 4 z + 2 y + x, where 1 is the upper end."""
        ends = np.stack([self.lower_mm, self.upper_mm])
        bits = np.indices((2, 2, 2)).reshape(3, 8).T
        return ends[bits, np.arange(3)]

    @property
    def scan_center_mm(self) -> NDArray[np.float64]:
        """(3,) middle of the whole scan in the axis frame."""
        return (np.array(self.shape) - 1) / 2 * self.spacing_mm

    @property
    def scan_edges_mm(self) -> NDArray[np.float64]:
        """(3,) lengths of the whole scan's box."""
        return np.array(self.shape) * self.spacing_mm

    @cached_property
    def crop_to_index(self) -> NDArray[np.float64]:
        """(4, 4) from index (z, y, x) of the turned crop to index (s, a, r) of the scan."""
        step = (np.array(self.upper) - self.lower) / self.side
        turn = cube.ELEMENTS[self.element].astype(np.float64)
        middle = np.full(3, (self.side - 1) / 2)
        matrix = np.eye(4)
        matrix[:3, :3] = step[:, None] * turn.T
        matrix[:3, 3] = (np.array(self.lower) + self.upper) / 2 - matrix[:3, :3] @ middle
        return matrix

    @property
    def crop_to_world(self) -> NDArray[np.float64]:
        """(4, 4) from index (z, y, x) of the turned crop to world RAS mm."""
        matrix: NDArray[np.float64] = np.array(self.affine) @ self.crop_to_index
        return matrix

    def to_world(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Points (..., 3) of the axis frame in world RAS mm."""
        return apply_affine(np.array(self.affine), np.asarray(points_mm) / self.spacing_mm)

    def vectors_to_world(self, vectors_mm: ArrayLike) -> NDArray[np.float64]:
        """Differences (..., 3) of points of the axis frame, in world RAS mm."""
        linear = np.array(self.affine)[:3, :3] / self.spacing_mm
        turned: NDArray[np.float64] = np.asarray(vectors_mm, np.float64) @ linear.T
        return turned

    def plain(self) -> dict[str, Any]:
        """As plain data, for `Sample.record` and JSON; `from_plain` takes it back."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> CropRecord:
        """The record of what `plain` gave, JSON or not.

        Raises
        ------
        MrisslError
            If fields are missing or none of its own.
        """
        values = {k: _tuples(v) if isinstance(v, list | tuple) else v for k, v in plain.items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise MrisslError("not the record of a crop", where="crop") from error


def draw_crop(
    rng: np.random.Generator,
    scan: Scan,
    side: int,
    edge_mm: float,
    scale: tuple[float, float] = (0.5, 1.5),
    element: Turns | int = "any",
    least_mean: float = 0.05,
    tries: int = 20,
    about_mm: ArrayLike | None = None,
) -> CropRecord:
    """Draw where to crop: a cube inside the scan, not too empty.

    Parameters
    ----------
    rng
        All randomness; the same state gives the same crop.
    scan
        To crop from.
    side
        Voxels along each side of the crop.
    edge_mm
        Edge at scale 1; cut down to the scan's shortest side where it is longer.
    scale
        Range of the factor on the edge.
    element
        ``"any"`` of the 48 turns and mirror images, ``"rotations"``, ``"none"``, or one.
    least_mean
        Boxes whose mean grey value, of [0, 1], is below this are drawn again ...
    tries
        ... up to so many times; then the fullest one is taken.
    about_mm
        (3,) a point of the axis frame that the box is to hold, anywhere in it.

    Raises
    ------
    MrisslError
        If side or edge are not positive.
    """
    best: tuple[float, CropRecord] | None = None
    for _ in range(max(1, tries)):
        factor = float(rng.uniform(*scale))
        places = rng.random(3)
        turn = _draw_element(rng, element)
        edge = _fitting(scan, side, edge_mm * factor)
        room = np.maximum(np.array(scan.volume.shape) * scan.volume.spacing - edge, 0)
        inside = places * room
        if about_mm is not None:
            inside = np.clip(np.asarray(about_mm, np.float64) - places * edge, 0, room)
        lower_mm = inside - scan.volume.spacing / 2
        record = _record(scan, lower_mm, side, edge, edge / edge_mm, turn)
        if least_mean <= 0:
            return record
        mean = float(cut(scan, _coarse(record)).mean())
        if mean >= least_mean:
            return record
        if best is None or mean > best[0]:
            best = mean, record
    assert best is not None  # noqa: S101 - there was at least one try
    return best[1]


def crop_at(
    scan: Scan,
    center_mm: ArrayLike,
    side: int,
    edge_mm: float,
    scale: float = 1.0,
    element: int = cube.IDENTITY,
) -> CropRecord:
    """The crop about a point of the axis frame, moved inwards where it would leave the scan.

    Raises
    ------
    MrisslError
        If side or edge are not positive, or there is no such element.
    """
    edge = _fitting(scan, side, edge_mm * scale)
    spacing = scan.volume.spacing
    least = -spacing / 2
    most = np.maximum(np.array(scan.volume.shape) * spacing - edge, 0) + least
    lower_mm = np.clip(np.asarray(center_mm, np.float64) - edge / 2, least, most)
    return _record(scan, lower_mm, side, edge, edge / edge_mm, cube.checked(element))


def cut(scan: Scan, record: CropRecord) -> NDArray[np.float32]:
    """The crop: (S, S, S) float32 in [0, 1], by trilinear interpolation, turned.

    Equal to a crop of the scan after its values were brought to [0, 1] and clipped; NaN
    is 0. It is read from the stored voxels in one pass, without a copy of the scan, by one
    thread that holds no interpreter lock: many crops at once go into many threads.

    Raises
    ------
    MrisslError
        If the record is of another scan.
    """
    _check_same(scan, record)
    crop = np.empty((record.side,) * 3, np.float32)
    # Written through a view that is turned back: turning costs no pass of its own.
    cut_box(scan, record.lower, record.upper, cube.act(crop, cube.inverse(record.element)))
    return crop


def cut_box(scan: Scan, lower: Triple, upper: Triple, into: NDArray[np.float32]) -> None:
    """Fill ``into`` with the box between two corners in index coordinates, as `cut` does.

    Its sides need not be equal, nor need the box lie in the scan: beyond it the outermost
    voxels go on.
    """
    from napari_mrissl.slicing import box_kernels

    volume = scan.volume
    # Value = slope * stored + intercept, and low and high are values.
    gain = volume.slope / (scan.high - scan.low)
    origin = (scan.low - volume.intercept) / volume.slope
    voxels = volume.region(lower, upper)
    number = number_type(voxels.dtype)
    box_kernels.cut(voxels, lower, upper, number(origin), number(gain), into)


def cut_labels(scan: Scan, record: CropRecord) -> NDArray[np.integer]:
    """The labels of the crop, (S, S, S) in their own type, by the nearest voxel, turned.

    Raises
    ------
    MrisslError
        If the scan has no labels, or the record is of another scan.
    """
    _check_same(scan, record)
    if scan.labels is None:
        raise MrisslError("no labels", where=scan.subject)
    steps = (np.arange(record.side) + 0.5) / record.side
    places = [
        np.clip(np.floor(low + steps * (high - low) + 0.5), 0, n - 1).astype(np.intp)
        for low, high, n in zip(record.lower, record.upper, record.shape, strict=True)
    ]
    return np.ascontiguousarray(cube.act(scan.labels[np.ix_(*places)], record.element))


def _check_same(scan: Scan, record: CropRecord) -> None:
    if record.identity != scan.identity or record.shape != scan.volume.shape:
        raise MrisslError("the crop is of another scan", where=scan.subject)


def _draw_element(rng: np.random.Generator, element: Turns | int) -> int:
    # Drawn whether it is used or not: a fixed turn leaves the other draws as they are.
    drawn = int(rng.integers(len(cube.ELEMENTS)))
    if element == "any":
        return drawn
    if element == "rotations":
        return drawn % cube.ROTATIONS
    if element == "none":
        return cube.IDENTITY
    return cube.checked(element)


def _fitting(scan: Scan, side: int, edge_mm: float) -> float:
    if side < 1 or not 0 < edge_mm < np.inf:
        raise MrisslError(
            f"a crop of {side} voxels and {edge_mm:g} mm", expected="more than 0 of both"
        )
    return min(edge_mm, float(np.min(np.array(scan.volume.shape) * scan.volume.spacing)))


def _record(
    scan: Scan,
    lower_mm: NDArray[np.float64],
    side: int,
    edge: float,
    scale: float,
    element: int,
) -> CropRecord:
    volume = scan.volume
    spacing = volume.spacing
    s, a, r, _ = volume.affine.tolist()
    return CropRecord(
        subject=scan.subject,
        identity=scan.identity,
        shape=volume.shape,
        spacing_mm=_triple(spacing),
        affine=(tuple(s), tuple(a), tuple(r), (0.0, 0.0, 0.0, 1.0)),
        lower=_triple(lower_mm / spacing),
        upper=_triple((lower_mm + edge) / spacing),
        side=int(side),
        scale=float(scale),
        element=element,
    )


def _coarse(record: CropRecord) -> CropRecord:
    return replace(record, side=min(_GLANCE, record.side), element=cube.IDENTITY)


def _triple(values: NDArray[np.float64]) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
