"""The plane at which the latents say a slice lies, beside the one where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_mrissl.geometry import Pose
from napari_mrissl.pretext.navigation.moves import Apart, apart
from napari_mrissl.ui.navigator.colors import color_table
from napari_mrissl.ui.navigator.plane import PlaneLayers
from napari_mrissl.ui.navigator.units import matching_units

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_mrissl.pretext.navigation.pose_probe import PoseProbe
    from napari_mrissl.volumes import Volume

NAMES = ("ghost plane", "ghost line")
_COLOR = (0.94, 0.44, 0.85)
_OPACITY = 0.75
_SIZE = 192


class GhostPlane:
    """A second plane in 3D and a second line in 2D, there only while it is shown.

    Parameters
    ----------
    viewer
        The main viewer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: PlaneLayers | None = None
        self._table = color_table(np.linspace([0, 0, 0, 1], [1, 1, 1, 1], 256))
        self._shown: tuple[Pose, NDArray[np.float32]] | None = None
        viewer.dims.events.ndisplay.connect(self._adapt)

    @property
    def pose(self) -> Pose | None:
        """Where it is, while it is shown."""
        return None if self._shown is None else self._shown[0]

    def show(self, pose: Pose, picture: NDArray[np.float32], volume: Volume, layer: Image) -> None:
        """Show a picture (N, N) in [0, 1] at a pose."""
        if self._layers is None:
            self._layers = PlaneLayers(self._viewer, _SIZE, NAMES, _COLOR)
            self._layers.plane.opacity = _OPACITY
        layers = self._layers
        if layers.plane not in self._viewer.layers:
            layers.set_volume(volume, matching_units(layer))
            layers.attach()
            layers.adapt()
        self._shown = pose, picture
        self._draw()

    def hide(self) -> None:
        """Take the layers out of the viewer."""
        self._shown = None
        self._remove()

    def shut_down(self) -> None:
        """Take the layers out and let go of the viewer."""
        self.hide()
        self._viewer.dims.events.ndisplay.disconnect(self._adapt)

    def _draw(self) -> None:
        if self._shown is None or self._layers is None:
            return
        pose, given = self._shown
        # Its outline is drawn in pixels, and those of a small network are coarse.
        picture = ndimage.zoom(given, _SIZE / len(given), order=1, grid_mode=True, mode="nearest")
        inside = np.ones(picture.shape, bool)
        self._layers.update(pose, picture, inside, (0.0, 1.0), self._table)
        self._layers.update_line(pose)

    def _adapt(self, _: object = None) -> None:
        if self._layers is not None:
            self._layers.adapt()
            self._draw()

    def _remove(self) -> None:
        if self._layers is not None:
            self._layers.remove()
        self._layers = None


def words_of(read: Pose, pose: Pose) -> str:
    """How far what was read is from where the slice is."""
    away = apart(pose, read)
    return f"The latents say: {_words(away)} away from where the slice is."


def probe_words(probe: PoseProbe | None) -> str:
    """What is known of a probe."""
    if probe is None:
        return "No probe is fitted yet, so no pose is read from the latents."
    held, chance = probe.held_out, probe.chance
    return (
        f"On {probe.tested} slices of this scan that it was not fitted on (median): "
        f"{held.mm:.0f} mm and {held.degrees:.0f}°; chance {chance.mm:.0f} mm and "
        f"{chance.degrees:.0f}°."
    )


def _words(away: Apart) -> str:
    return f"{away.mm:.0f} mm and {away.degrees:.0f}°"
