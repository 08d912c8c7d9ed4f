"""What a header says about a scan, the same for every format, and its voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.volumes.errors import NoSuchFrame
from napari_mrissl.volumes.streams import Progress, Source, read_exactly
from napari_mrissl.volumes.volume import NiftiForms


@dataclass(frozen=True, slots=True)
class Layout:
    """A validated header: where the voxels lie, how they are stored, where they are in space.

    Attributes
    ----------
    source
        File, start and encoding of the voxels.
    shape
        Voxels along the three stored axes, fastest first.
    dtype
        As stored, byte order included.
    affine
        (4, 4) from stored index to world RAS+ mm.
    skip
        Decoded bytes before the voxels.
    tail
        Decoded bytes that may follow the voxels.
    frames
        3-D arrays in the file.
    frames_first
        Whether the frame index runs fastest, rather than slowest.
    slope, intercept
        Value = slope * stored number + intercept.
    forms
        NIfTI header geometry, where there is one.
    notes
        Sentences the user should see.
    disagreements
        More of them: ways in which other programs put the scan elsewhere.
    """

    source: Source
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    affine: NDArray[np.float64]
    skip: int = 0
    tail: int = 0
    frames: int = 1
    frames_first: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    forms: NiftiForms | None = None
    notes: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self, frame: int, progress: Progress | None = None) -> tuple[NDArray[Any], bytes]:
        """Voxels of one frame in stored axis order, and the decoded bytes after the last one.

        Raises
        ------
        ScanError
            If the frame is not there, or the voxels are damaged or not of the right size.
        """
        if not 0 <= frame < self.frames:
            raise NoSuchFrame(
                f"{frame}",
                where=self.source.path,
                field="frame",
                expected=f"0 to {self.frames - 1}",
                remedy="choose a frame that the file holds",
            )
        size = self.frame_bytes
        total = self.skip + size * self.frames
        if self.frames_first:
            window = (self.skip, total)
        else:
            window = (self.skip + frame * size, self.skip + (frame + 1) * size)
        content, rest = read_exactly(self.source, total, window, tail=self.tail, progress=progress)
        numbers = content.view(self.dtype)
        if self.frames_first:
            numbers = numbers[frame :: self.frames]
        return numbers.reshape(self.shape, order="F"), rest
