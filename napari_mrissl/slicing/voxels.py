"""Voxels as one flat run of memory with strides, so that no layout is ever copied."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray


class Voxels(NamedTuple):
    """A 3-D array seen as flat memory.

    Attributes
    ----------
    flat
        Read-only, contiguous 1-D view of the array's memory.
    start
        Position of voxel (0, 0, 0) in `flat`.
    strides
        Steps in `flat` along the three axes; negative for flipped views.
    shape
        Voxels along the three axes.
    """

    flat: NDArray[Any]
    start: int
    strides: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, array: NDArray[Any]) -> Voxels:
        """See an array as flat memory; copied only if byte-swapped or unaligned."""
        array = np.asarray(array)
        size = array.itemsize
        if not (array.dtype.isnative and array.flags.aligned) or any(
            step % size for step in array.strides
        ):
            array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
        shape = (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))
        s0, s1, s2 = (int(step) // size for step in array.strides)
        if array.flags.c_contiguous:
            flat = array.reshape(-1)
            start = 0
        else:
            # Flip negative axes back to reach the lowest address, then span to the highest.
            forward = array[tuple(slice(None, None, -1 if s < 0 else 1) for s in (s0, s1, s2))]
            steps = tuple(abs(s) for s in (s0, s1, s2))
            span = 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
            flat = as_strided(forward, (span,), (size,), writeable=False)
            start = -sum((n - 1) * min(s, 0) for n, s in zip(shape, (s0, s1, s2), strict=True))
        flat = flat.view()
        flat.flags.writeable = False
        return cls(flat, start, (s0, s1, s2), shape)
