"""What is painted on one result: which voxels were corrected, and what the network said there."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_mrissl.ui.finetuning.corrections import Corrections, at, changed


@dataclass(frozen=True, eq=False)
class Packed:
    """A label map that is kept for undo: a few parts in a hundred of its size."""

    shape: tuple[int, ...]
    kind: np.dtype[Any]
    content: bytes

    @classmethod
    def of(cls, labels: NDArray[Any]) -> Packed:
        """Pack a label map."""
        content = zlib.compress(np.ascontiguousarray(labels).tobytes(), 1)
        return cls(labels.shape, labels.dtype, content)

    def labels(self) -> NDArray[Any]:
        """The label map, to be written to."""
        flat = np.frombuffer(zlib.decompress(self.content), self.kind)
        return flat.reshape(self.shape).copy()


@dataclass(frozen=True, eq=False)
class Under:
    """What is known of a result beside what is shown.

    Attributes
    ----------
    own
        What the network itself said where something else was painted.
    earlier
        Ascending flat numbers of voxels that were corrected before this result was shown.
    """

    own: Corrections = field(default_factory=Corrections)
    earlier: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def below(cls, held: Corrections, labels: NDArray[Any]) -> Under:
        """Of a network's label map, before these corrections are put on it."""
        return cls(at(labels, held.voxels), held.voxels)


@dataclass(eq=False)
class Painted:
    """A result's labels as they were looked at last, and what lies under them."""

    seen: NDArray[Any]
    under: Under = field(default_factory=Under)

    def look(self, now: NDArray[Any], held: Corrections) -> tuple[Corrections, int]:
        """Corrections after what was painted since the last look, and how many voxels that was.

        A voxel that has the network's own label again, as after an undone stroke, is no
        correction any more, unless it was one before this result was shown.
        """
        voxels = changed(self.seen, now)
        if not len(voxels):
            return held, 0
        own, earlier = self.under.own, self.under.earlier
        # Corrections of another session: the network's own label under them is not known.
        fresh = ~np.isin(voxels, own.voxels)
        earlier = np.union1d(earlier, held.only(voxels[fresh]).voxels)
        own = own.and_then(voxels[fresh], self.seen.reshape(-1)[voxels[fresh]])
        labels = now.reshape(-1)[voxels].astype(np.int32)
        back = (own.only(voxels).labels == labels) & ~np.isin(voxels, earlier)
        self.seen.reshape(-1)[voxels] = labels
        self.under = Under(own, earlier)
        return held.but(voxels[back]).and_then(voxels[~back], labels[~back]), len(voxels)
