"""Three body coordinates for every voxel, from the map of a backbone at a quarter of its sides."""

from __future__ import annotations

import torch
from torch import nn

from napari_mrissl.networks.backbones import Backbone, build
from napari_mrissl.networks.settings import BackboneSettings

CELL = 4
"""Voxels along each side of a cell that has coordinates of its own, as in arXiv:2409.10291."""

_BEGIN = 3.0


class CoordinateHead(nn.Module):
    """Coordinates of a map, and how long their axes are.

    The sigmoid and one factor for each axis are those of the authors' code for
    arXiv:2409.10291; inferred: factors begin where the axes span 3, not 1, as distances are
    over a fixed length here and not over the spread of a batch.

    Parameters
    ----------
    channels
        Of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.axes = nn.Conv3d(channels, 3, 1)
        self.scale = nn.Parameter(torch.full((3,), _BEGIN))

    def forward(self, dense: torch.Tensor) -> torch.Tensor:
        """(N, 3, z, y, x) in [0, 1] of a map (N, C, z, y, x)."""
        found: torch.Tensor = self.axes(dense).sigmoid()
        return found


class CoordinateNetwork(nn.Module):
    """A backbone and its head of coordinates.

    Attributes
    ----------
    backbone
        Its decoder above the cells' scale is not used.
    coordinates
        The head.
    """

    def __init__(self, settings: BackboneSettings) -> None:
        super().__init__()
        self.backbone: Backbone = build(settings)
        self.coordinates = CoordinateHead(self.backbone.channels[_scales(self.backbone) - 1])

    def forward(
        self, image: torch.Tensor, places: torch.Tensor, *, whole: bool = False
    ) -> dict[str, torch.Tensor]:
        """What is said of points in crops: distances of these numbers are over the scale.

        Parameters
        ----------
        image
            (N, Z, Y, X) crops in [0, 1].
        places
            (N, P, 3) indices (z, y, x) of points in their crop, fractions allowed.
        whole
            Whether all cells are to be given too.

        Returns
        -------
        dict
            ``points`` (N, P, 3), coordinates times the length of their axes; with ``whole``
            also ``cells`` (N, 3, z, y, x).
        """
        cells = exact(self.cells(image))
        scale = self.coordinates.scale
        with torch.autocast(image.device.type, enabled=False):
            found = {"points": at_places(cells, places) * scale}
            if whole:
                found["cells"] = cells * scale[:, None, None, None]
        return found

    def cells(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 3, z, y, x) in [0, 1], one for each cell of crops (N, Z, Y, X)."""
        return cells_of(self.backbone, self.coordinates, image)

    def voxels(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 3, Z, Y, X) in [0, 1], one for each voxel, linear between the cells."""
        return between(self.cells(image))


def cells_of(backbone: Backbone, head: CoordinateHead, image: torch.Tensor) -> torch.Tensor:
    """(N, 3, z, y, x) in [0, 1], one for each cell of crops (N, Z, Y, X)."""
    cells: torch.Tensor = head(backbone.deepest(image[:, None], _scales(backbone))[-1])
    return cells


def between(cells: torch.Tensor) -> torch.Tensor:
    """(N, 3, Z, Y, X) one for each voxel, linear between cells (N, 3, z, y, x)."""
    return nn.functional.interpolate(
        cells, scale_factor=CELL, mode="trilinear", align_corners=False
    )


def _scales(backbone: Backbone) -> int:
    """How many maps there are from the deepest one to that of the cells."""
    return len(backbone.channels) - CELL.bit_length() + 1


def at_places(cells: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(N, P, C) values of cells (N, C, z, y, x) at voxels' indices (N, P, 3), linear between them.

    Corrected: the authors' code takes the cell that a voxel lies in. By products of matrices,
    whose backward is deterministic on every device.
    """
    z, y, x = (
        _weights(places[..., axis], cells.shape[2 + axis]).to(cells.dtype) for axis in range(3)
    )
    along_z = torch.einsum("npz,nczyx->npcyx", z, cells)
    along_y = torch.einsum("npy,npcyx->npcx", y, along_z)
    return torch.einsum("npx,npcx->npc", x, along_y)


def _weights(voxels: torch.Tensor, count: int) -> torch.Tensor:
    """(N, P, count) shares of the cells along an axis."""
    cell = ((voxels + 0.5) / CELL - 0.5).clamp(0, count - 1)
    away = cell[..., None] - torch.arange(count, device=voxels.device)
    return (1 - away.abs()).clamp(min=0)


def exact(tensor: torch.Tensor) -> torch.Tensor:
    """In single precision at least: differences of half numbers are too coarse."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
