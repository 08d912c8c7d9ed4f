"""Which planes the main viewer and the slice navigator show right now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_mrissl.geometry import Pose
from napari_mrissl.ui.layers.world import layer_matrix, swap_world
from napari_mrissl.ui.segmenter.planes import Plane, axis_planes, pose_plane

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels


def planes_in_view(
    viewer: ViewerModel, layer: Labels, pose: Pose | None = None, size: int = 256
) -> list[Plane]:
    """The plane on display first, then the other two through the same point, then the slice.

    Parameters
    ----------
    viewer
        The main viewer; in 3D its three planes count as in view.
    layer
        The labels that will be shown; its grid is what napari slices.
    pose, size
        Of the navigator's oblique slice, where there is one.
    """
    dims = viewer.dims
    # Axes before the last three belong to other layers with time or channels.
    point = layer.world_to_data(dims.point[-3:])
    extra = dims.ndim - 3
    across = [axis - extra for axis in dims.not_displayed if axis >= extra]
    shape = layer.data.shape
    planes = axis_planes(swap_world(layer_matrix(layer)), shape, point, across[0] if across else 0)
    if pose is not None:
        oblique = pose_plane(pose, size)
        # In 3D the navigator's slice is what the user looks at.
        planes.insert(1 if dims.ndisplay == 2 else 0, oblique)
    return planes
