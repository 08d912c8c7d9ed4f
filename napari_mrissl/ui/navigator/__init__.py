"""The slice navigator: fly an oblique slice through a scan, beside the 3D view."""

from napari_mrissl.ui.navigator.widget import SliceNavigator

__all__ = ["SliceNavigator"]
