"""Shows features as colours, as one channel, and as a grid of all channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_mrissl.ui.explorer import work
from napari_mrissl.ui.explorer.explored import Explored
from napari_mrissl.ui.explorer.layers import CHANNEL, COLOURS, ExplorerLayers
from napari_mrissl.ui.job_group import JobGroup
from napari_mrissl.ui.navigator.units import world_of

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Showing(QObject):
    """Finds colours and channels in the background, and draws them as layers.

    Parameters
    ----------
    viewer
        The main viewer, not a proxy of it.
    layers
        Draws them.
    jobs
        Runs the work.

    Attributes
    ----------
    explored : list of Explored
        The scans that are shown.
    standardised : bool
        Whether each channel counts by its spread.
    projected : Signal(object)
        Colours were made by this basis.
    gridded : Signal(object)
        Slices of all channels.
    started : Signal()
        Something began in the background.
    """

    projected = Signal(object)
    gridded = Signal(object)
    started = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        layers: ExplorerLayers,
        jobs: JobGroup,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers = layers
        self._runner = jobs.runner(listed=False, told=True)
        self._drawing = jobs.runner(listed=False)
        self.explored: list[Explored] = []
        self.standardised = False

    def show_colours(self) -> None:
        """Show the features of all scans as colours on one basis."""
        explored, standardised = list(self.explored), self.standardised
        if not explored:
            return
        self._layers.hide(CHANNEL)
        self._runner.start(
            lambda control: work.colour(control, explored, standardised),
            title="Colours of features",
            received=lambda made: self._if_there(made[0], self._layers.show_colours, made[1]),
            done=self.projected.emit,
        )
        self.started.emit()

    def show_channel(self, number: int | None) -> None:
        """Show a channel of all scans, or with None the length of the features."""
        explored = list(self.explored)
        if not explored:
            return
        self._layers.hide(COLOURS)
        self._runner.start(
            lambda control: work.channel(control, explored, number),
            title="A channel of features",
            done=self._on_channel,
        )
        self.started.emit()

    def hide(self) -> None:
        """Hide colours and channels."""
        self.cancel()
        self._layers.hide(COLOURS, CHANNEL)

    def cancel(self) -> None:
        """Show nothing more of what is being found."""
        self._runner.cancel()

    def draw_grid(self, number: int) -> None:
        """Find the slice in view of every channel of a scan."""
        if not 0 <= number < len(self.explored):
            return
        one = self.explored[number]
        plane = self._plane_of(one)
        self._drawing.start(
            lambda control: work.grid(control, one, plane),
            title="Channels in the slice",
            done=self.gridded.emit,
        )

    def _on_channel(self, made: list[tuple[Explored, work.ChannelShown]]) -> None:
        for one, shown in made:
            self._if_there(one, self._layers.show_channel, *shown)

    def _if_there(self, one: Explored, show: Any, *what: Any) -> None:
        if one in self.explored:
            show(one, *what)

    def _plane_of(self, one: Explored) -> work.PlaneShown:
        """The voxel plane of a scan nearest to what the main view shows, and as it lies there."""
        dims = self._viewer.dims
        extra = dims.ndim - 3
        across = [axis - extra for axis in dims.not_displayed if axis >= extra]
        axis = across[0] if across else 0
        world = world_of(self._viewer, dims.point)
        index = np.rint(one.volume.to_index @ [*world, 1])[axis]
        _, vertical, horizontal = (str(side) for side in self._viewer.scene.camera.orientation)
        return work.PlaneShown(
            axis,
            int(np.clip(index, 0, one.volume.shape[axis] - 1)),
            up=vertical == "up",
            mirrored=horizontal == "left",
        )
