"""The slice views: four linked slices of all visible layers, painted without OpenGL."""

from napari_mrissl.ui.views.widget import SliceViews

__all__ = ["SliceViews"]
