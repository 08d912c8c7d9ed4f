"""Frames of a whole batch cut where the network is, scan by scan."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch

from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.navigation.appearance import Recolouring
from napari_mrissl.pretext.navigation.flights import scaled
from napari_mrissl.pretext.subjects import Scan
from napari_mrissl.slicing.torch_render import render_torch


class DeviceScans:
    """Voxels of scans on a device, in their stored type, within a bound.

    Parameters
    ----------
    limit
        Bytes; a single scan larger than that is still kept until the next one comes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[str, str], torch.Tensor] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(voxels.numel() * voxels.element_size() for voxels in self._kept.values())

    def voxels(self, scan: Scan, device: torch.device) -> torch.Tensor:
        """(S, A, R) of a scan; the least recently used one goes where there is no room."""
        name = (scan.identity, str(device))
        found = self._kept.pop(name, None)
        if found is None:
            # A copy: scans are read-only, which torch has no word for.
            found = torch.from_numpy(np.array(scan.volume.data)).to(device)
        self._kept[name] = found
        while len(self._kept) > 1 and self.nbytes > self.limit:
            self._kept.popitem(last=False)
        return found

    def frames(
        self,
        scans: Sequence[Callable[[], Scan]],
        names: Sequence[int],
        poses: torch.Tensor,
        size: int,
        recolourings: Sequence[Recolouring | None],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Grey values (B, T, size, size) and validity of a batch; as `flights.frames_of` to 1e-3.

        Parameters
        ----------
        scans, names
            For each sample what gives its scan, and a number that is the same for the same scan.
        poses
            (B, T, 8), on the device.
        size
            Pixels along a side.
        recolourings
            Of each sample.
        """
        count, frames = poses.shape[:2]
        grey = torch.empty((count, frames, size, size), dtype=torch.float32, device=poses.device)
        valid = torch.empty(grey.shape, dtype=torch.bool, device=poses.device)
        rows = poses.detach().cpu().double().numpy()
        for name in dict.fromkeys(names):
            own = [number for number, other in enumerate(names) if other == name]
            scan = scans[own[0]]()
            volume = scan.volume
            values, inside = render_torch(
                self.voxels(scan, poses.device),
                volume.affine,
                poses[own].flatten(0, 1),
                size,
                slope=volume.slope,
                intercept=volume.intercept,
            )
            values = values.reshape(len(own), frames, size, size)
            inside = inside.reshape(values.shape)
            for place, number in enumerate(own):
                flown = tuple(Pose.from_row(row) for row in rows[number])
                one, where = scaled(
                    values[place], inside[place], scan, flown, size, recolourings[number]
                )
                grey[number], valid[number] = one, where
        return grey, valid
