"""`Volume`: a scan in memory, reordered without loss to axes closest to (S, A, R)."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_mrissl.geometry.affines import apply_affine, as_affine, axis_codes, is_oblique, spacing
from napari_mrissl.geometry.orientation import Reorientation
from napari_mrissl.volumes.errors import ScanError, UnsupportedVoxels

_TILE = (64, 32, 32)
_CT_AIR = (-1100.0, -900.0)
_CT_SOFT_TISSUE = (-160.0, 240.0)
# Types that no scan format has and few tools compute in; both are kept without loss.
_WIDENED: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(bool): np.dtype(np.uint8),
    np.dtype(np.float16): np.dtype(np.float32),
}


@dataclass(frozen=True, slots=True, eq=False)
class NiftiForms:
    """The geometry fields of a NIfTI header, so that a copy can carry them unchanged.

    Attributes
    ----------
    qform, sform
        (4, 4) in the file's own unit; None where absent or unusable.
    qform_code, sform_code
        NIfTI codes; 0 where there is no form.
    space_unit
        ``"mm"``, ``"m"``, ``"um"`` or ``"unknown"``.
    version
        1 or 2.
    intent_code
        What the file says its numbers mean; 1002 for labels.
    """

    qform: NDArray[np.float64] | None
    qform_code: int
    sform: NDArray[np.float64] | None
    sform_code: int
    space_unit: str = "mm"
    version: int = 1
    intent_code: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class StoredGrid:
    """The grid of a scan as its file stores it.

    Attributes
    ----------
    shape
        Voxels along the three stored axes.
    affine
        (4, 4) from stored index to world RAS+ mm.
    forms
        NIfTI header geometry, where the file has one.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    forms: NiftiForms | None = None

    @property
    def orientation(self) -> str:
        """Axis codes as stored, e.g. ``"LPS"``."""
        return axis_codes(self.affine)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel side lengths in mm along the stored axes."""
        return spacing(self.affine)


@dataclass(frozen=True, eq=False)
class Volume:
    """One 3-D scan.

    Attributes
    ----------
    data
        C-contiguous (S, A, R)-ordered voxels in the stored dtype, native byte order;
        read-only.
    affine
        (4, 4) float64 from index (s, a, r) of `data` to world RAS+ mm.
    stored
        The grid in the file, to which everything computed can be saved back.
    slope, intercept
        Value = slope * stored number + intercept.
    name
        A short name to show; never a path.
    file_sha256
        SHA-256 of the file's bytes, where there was one file.
    frames, frame
        How many frames the file holds and which one this is.
    notes
        Sentences the user should see, e.g. that a frame was chosen.
    disagreements
        Those of the notes by which another program puts the scan elsewhere in space, each
        with both readings; empty for a scan that all read alike.
    source
        Where the scan was read from, so that it is not written over; never shown,
        saved or pickled.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    stored: StoredGrid
    slope: float = 1.0
    intercept: float = 0.0
    name: str = "scan"
    file_sha256: str | None = None
    frames: int = 1
    frame: int = 0
    notes: tuple[str, ...] = field(default=())
    disagreements: tuple[str, ...] = field(default=())
    source: Path | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # What leaves this process must not say where the scan lies.
        return {**self.__dict__, "source": None}

    @classmethod
    def from_stored(
        cls,
        voxels: NDArray[Any],
        affine: ArrayLike,
        *,
        forms: NiftiForms | None = None,
        copy: bool = True,
        **attributes: Any,
    ) -> Volume:
        """A volume from an array in stored axis order and its index-to-RAS-mm affine.

        The array is copied once, into canonical order; it is never resampled. With
        ``copy=False`` an array that lies in canonical order already is taken over.

        Raises
        ------
        UnsupportedVoxels
            If the array is not 3-D and numeric, or is empty.
        MrisslError
            If the affine is singular or not finite.
        """
        if voxels.ndim != 3 or 0 in voxels.shape:
            raise UnsupportedVoxels(
                f"array of shape {voxels.shape}", expected="a 3-D array with voxels"
            )
        if voxels.dtype.kind not in "buif" or voxels.dtype.itemsize > 8:
            raise UnsupportedVoxels(
                f"voxels of type {voxels.dtype}",
                expected="integers or floating point numbers of at most 64 bits",
            )
        stored_affine = as_affine(affine)
        shape = (int(voxels.shape[0]), int(voxels.shape[1]), int(voxels.shape[2]))
        to_canonical = Reorientation.closest_sar(stored_affine)
        native = _WIDENED.get(voxels.dtype.newbyteorder("="), voxels.dtype.newbyteorder("="))
        view = to_canonical.forward(voxels)
        ready = view.flags.c_contiguous and view.flags.aligned and view.dtype == native
        data = view if ready and not copy else _contiguous(view, native)
        data.flags.writeable = False
        return cls(
            data,
            to_canonical.canonical_affine(stored_affine, shape),
            StoredGrid(shape, stored_affine, forms),
            **attributes,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (S, A, R)."""
        s, a, r = self.data.shape
        return s, a, r

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel side lengths in mm along (S, A, R)."""
        return spacing(self.affine)

    @property
    def oblique(self) -> bool:
        """Whether the grid is rotated or sheared against the world axes."""
        return is_oblique(self.affine)

    @property
    def center(self) -> NDArray[np.float64]:
        """World RAS mm of the middle of the grid."""
        return apply_affine(self.affine, (np.array(self.shape) - 1) / 2)

    @property
    def extent(self) -> NDArray[np.float64]:
        """Size in mm of the world-aligned box (R, A, S) around all voxels."""
        box: NDArray[np.float64] = np.abs(self.affine[:3, :3]) @ np.array(self.shape, np.float64)
        return box

    @cached_property
    def to_index(self) -> NDArray[np.float64]:
        """(4, 4) from world RAS mm to index (s, a, r)."""
        return np.asarray(np.linalg.inv(self.affine), np.float64)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of canonical voxels, affine and dtype: what makes two scans the same.

        Costs a pass over the voxels on first use; keep it off the GUI thread.
        """
        return identity_of(self.data, self.affine)

    def region(self, lower: ArrayLike, upper: ArrayLike) -> NDArray[Any]:
        """An array like `data` that holds what interpolation between two corners needs.

        It has the shape of `data`, whatever the corners; here it is `data` itself. A volume
        that is read in parts reads these voxels, and others may be missing.

        Parameters
        ----------
        lower, upper
            (3,) corners in index coordinates (s, a, r), fractions allowed; beyond the volume
            the outermost voxels go on.
        """
        return self.data

    def to_stored(self, canonical: NDArray[Any]) -> NDArray[Any]:
        """A view, in stored axis order, of an array on this volume's (S, A, R) grid.

        Raises
        ------
        ScanError
            If the array is not on this volume's grid.
        """
        if canonical.shape != self.shape:
            raise ScanError(
                f"array of shape {canonical.shape}", where=self.name, expected=f"{self.shape}"
            )
        return Reorientation.closest_sar(self.stored.affine).backward(canonical)

    def value_range(self, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
        """Percentiles of the finite values, from at most about 250,000 voxels.

        A regular grid of voxels is looked at: exact percentiles of a 256^3 volume cost
        50 times as much and differ by less than a grey level.
        """
        sample = self._sample()
        if sample.size == 0:
            return 0.0, 1.0
        bottom, top = (float(v) for v in np.percentile(sample, (low, high)))
        if bottom == top:
            bottom, top = float(sample.min()), float(sample.max())
        # Of a very large value, one more is the same number.
        return (bottom, top) if bottom < top else (bottom, bottom + max(1.0, 1e-6 * abs(bottom)))

    def display_window(self) -> tuple[float, float]:
        """Values to show as black and white: soft tissue for a CT, else `value_range`.

        A CT is recognised by its air: of what is not padding, at least one voxel in
        twenty lies around -1000 HU, and as many in the range of soft tissue.
        """
        sample = self._sample()
        inside = sample[sample >= _CT_AIR[0]]
        shares = (
            np.count_nonzero((inside >= low) & (inside <= high)) / max(inside.size, 1)
            for low, high in (_CT_AIR, _CT_SOFT_TISSUE)
        )
        return _CT_SOFT_TISSUE if min(shares) >= 0.05 else self.value_range()

    def _sample(self) -> NDArray[np.float64]:
        """At most about 250,000 finite values on a regular grid."""
        step = max(1, round((self.data.size / 250_000) ** (1 / 3)))
        # What a damaged scaling puts beyond all numbers is no value to show; a signalling
        # NaN says so when it is converted.
        with np.errstate(over="ignore", invalid="ignore"):
            sample = self.data[::step, ::step, ::step].astype(np.float64)
            values: NDArray[np.float64] = self.slope * sample + self.intercept
        return values[np.isfinite(values)]


def identity_of(data: NDArray[Any], affine: NDArray[np.float64]) -> str:
    """SHA-256 of canonical voxels (S, A, R), affine (4, 4) and dtype; see `Volume.identity`."""
    digest = hashlib.sha256()
    little = data.dtype.newbyteorder("<")
    digest.update(little.str.encode() + repr(data.shape).encode())
    digest.update(np.ascontiguousarray(affine, "<f8").tobytes())
    digest.update(np.ascontiguousarray(data, little).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _contiguous(view: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A C-ordered copy; in tiles where axes are permuted, which keeps caches warm."""
    copy = np.empty(view.shape, dtype)
    if np.argmin(np.abs(view.strides)) == 2:
        copy[...] = view
        return copy
    for box in itertools.product(
        *(
            [slice(start, start + side) for start in range(0, extent, side)]
            for extent, side in zip(view.shape, _TILE, strict=True)
        )
    ):
        copy[box] = view[box]
    return copy
