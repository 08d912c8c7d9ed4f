"""What the user painted on results: single voxels whose right label is known."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_BYTES = 4 << 20
"""Of one scan's corrections in a session, packed."""


@dataclass(frozen=True, eq=False)
class Corrections:
    """Voxels of one scan and their labels.

    Attributes
    ----------
    voxels
        (n,) int64 flat numbers in C order on the scan's grid, ascending.
    labels
        (n,) int32; 0 is background.
    """

    voxels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.voxels)

    def and_then(self, voxels: NDArray[np.int64], labels: NDArray[Any]) -> Corrections:
        """These with newer ones, which win."""
        kept = ~np.isin(self.voxels, voxels)
        all_voxels = np.concatenate([self.voxels[kept], voxels])
        all_labels = np.concatenate([self.labels[kept], labels.astype(np.int32)])
        order = np.argsort(all_voxels, kind="stable")
        return Corrections(all_voxels[order], all_labels[order])

    def but(self, voxels: NDArray[np.int64]) -> Corrections:
        """These without some voxels."""
        return self._where(~np.isin(self.voxels, voxels))

    def only(self, voxels: NDArray[np.int64]) -> Corrections:
        """Those of these that are among some voxels."""
        return self._where(np.isin(self.voxels, voxels))

    def put(self, labels: NDArray[Any]) -> None:
        """Write them into a label map, in place."""
        inside = self.voxels < labels.size
        np.put(labels, self.voxels[inside], self.labels[inside])

    def _where(self, kept: NDArray[np.bool_]) -> Corrections:
        return Corrections(self.voxels[kept], self.labels[kept])

    def packed(self) -> str | None:
        """As text for a session; None where that would be too long."""
        steps = np.diff(self.voxels, prepend=0).astype("<i8").tobytes()
        text = base64.b64encode(zlib.compress(steps + self.labels.astype("<i4").tobytes()))
        return text.decode("ascii") if len(text) <= _MOST_BYTES else None

    @classmethod
    def unpacked(cls, text: object) -> Corrections | None:
        """What `packed` gave; None where it is not that."""
        if not isinstance(text, str) or len(text) > _MOST_BYTES:
            return None
        try:
            inflater = zlib.decompressobj()
            content = inflater.decompress(base64.b64decode(text, validate=True), 64 << 20)
        except (ValueError, zlib.error):
            return None
        count, rest = divmod(len(content), 12)
        if rest or not inflater.eof:
            return None
        voxels = np.cumsum(np.frombuffer(content, "<i8", count))
        labels = np.frombuffer(content, "<i4", count, 8 * count).astype(np.int32)
        if count and (voxels[0] < 0 or (np.diff(voxels) <= 0).any() or labels.min() < 0):
            return None
        return cls(voxels.astype(np.int64), labels)


def at(labels: NDArray[Any], voxels: NDArray[np.int64]) -> Corrections:
    """What a label map says at some voxels, ascending; those beyond it are left out."""
    inside = voxels[voxels < labels.size]
    return Corrections(inside, labels.reshape(-1)[inside].astype(np.int32))


def changed(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.int64]:
    """Flat numbers of voxels in which two label maps differ."""
    return np.flatnonzero(before.reshape(-1) != after.reshape(-1)).astype(np.int64)
