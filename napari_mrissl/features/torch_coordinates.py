"""The pass of a network of body coordinates over a volume, in crops that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_mrissl.errors import MrisslError
from napari_mrissl.features import filters, kernels
from napari_mrissl.features.cancel import IsCancelled, Progress, stop_if
from napari_mrissl.features.patch_grid import Place
from napari_mrissl.features.torch_patches import averaged, device, ends_of, resampled, to_voxels
from napari_mrissl.networks import weights
from napari_mrissl.networks.coordinate_network import CoordinateNetwork
from napari_mrissl.slicing.threads import over_rows
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from napari_mrissl.features.coordinate_maps import CoordinateMaps


def compute_into(
    source: CoordinateMaps,
    volume: Volume,
    out: NDArray[np.float32],
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> None:
    """Fill `out`; see `CoordinateMaps.compute_into`."""
    settings, grid = source.settings, source.grid(volume)
    ends = ends_of(volume, settings.percentiles, settings.window)
    network = _network(source)

    def tell(part: float) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(part, "network")

    def maps(patches: torch.Tensor, places: Sequence[Place]) -> Sequence[torch.Tensor]:
        return [network.cells(patches[:, 0])]

    (cells,) = averaged(grid, resampled(grid, ends), maps, tell)
    to_voxels(grid, cells, out[:3])
    if settings.intensity:
        out[3] = filters.scaled(volume, ends, (0.0, 1.0), cancelled)
    if settings.normalise != "none":
        standardised = settings.normalise == "standardised"
        over_rows(
            lambda first, last: kernels.normalise_channels(out, standardised, first, last),
            out.shape[1],
            out.size,
        )


def _network(source: CoordinateMaps) -> CoordinateNetwork:
    state, _ = weights.load(source.file.path, device())
    untrained = source.settings.untrained
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(untrained or 0)
        network = CoordinateNetwork(source.card.backbone)
    if untrained is None:
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise MrisslError(
                "weights are not those of their card", where=source.file.path
            ) from error
    return network.to(device()).float().eval()
