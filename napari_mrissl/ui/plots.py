"""A pyqtgraph plot that ends whole with the window it is in."""

from __future__ import annotations

from typing import Any


def plot_widget(drawing: Any) -> Any:
    """A plot without menus of its own.

    Parameters
    ----------
    drawing
        The pyqtgraph module, which is imported only when something is drawn.
    """
    canvas = drawing.PlotWidget(enableMenu=False)
    # Made all the same, a window without a parent: with one it goes when the plot goes, and
    # not at some collection of garbage.
    menu = canvas.getPlotItem().getMenu()
    menu.setParent(canvas, menu.windowFlags())
    return canvas
